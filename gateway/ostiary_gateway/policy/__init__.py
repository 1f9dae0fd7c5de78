"""The policy core: observations in, a decision out. Pure (no clock, network or store), so decisions replay."""
