"""`kubectl ostiary`: what SREs see of rollouts, and what they order. It needs a kubeconfig alone."""
