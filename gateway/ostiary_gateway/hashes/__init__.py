"""Hash lists: which images are known, and what their entries say. Pure; files are opened elsewhere."""
