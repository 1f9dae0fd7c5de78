"""Trains the embedded bundle from photographs and rendered overlays. Not needed to serve a bundle."""
