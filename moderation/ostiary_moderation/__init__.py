"""The witness: decode, detect, score, describe. Returns observations, never a verdict."""
