"""How one version follows another. Pure: a snapshot of the cluster in, a plan out."""
