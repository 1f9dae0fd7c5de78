"""Untrusted image files in, canonical pixels out; everything that parses a file runs in worker processes.

`canonical` holds the pure part, `worker` the process that runs it, `pool` what the pod calls. The modules
that the worker imports need Pillow and the standard library only: it starts fast, fits in its memory limit
and has little in it to exploit.
"""
