"""Reconciling: the parts that the local and the Kubernetes adapter share."""
