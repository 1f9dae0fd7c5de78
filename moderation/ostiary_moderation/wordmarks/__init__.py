"""Word marks in text that was read in images: spelled otherwise, in parts, among other words. Pure.

No images, no models, no wires: spans of text with their places go in, brands with probabilities come out.
`docs/logos.md` says what is looked for and what a score means.
"""
