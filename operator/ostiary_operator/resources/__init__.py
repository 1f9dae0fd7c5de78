"""The resources of `ostiary.dev/v1alpha1` that are the operator's own: what their specs and statuses hold."""
