"""The record in an SQLite database, and the transparency log published from it."""
