"""What is wrong with a bundle, said once."""


class BundleError(ValueError):
    """A bundle that cannot be used; the message says which file is at fault and what to do about it."""
