"""The keeper at work in a cluster: what it sees, what it has done, and who of several does it."""
