"""The policy core: observations in, a decision out. Pure, so that decisions replay."""
