"""Engines: what runs a bundle's model. One package per architecture."""
