"""Model bundles shipped with the package, one folder each. Data only: no code is ever loaded from a
bundle.
"""
