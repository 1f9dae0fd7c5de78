"""Finds marks without letters by their shape: where one may be, which pixels are its, and whose it is.

Without torch, models of a bundle, and wires. The networks are in `weights`, run by onnxruntime.
"""
