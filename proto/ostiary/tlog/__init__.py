"""A transparency log: RFC 6962 Merkle trees, C2SP signed notes, checkpoints and tiles.

Pure but for `keys`, which writes a log's key files. Nothing here knows of databases or of the wire.
"""
