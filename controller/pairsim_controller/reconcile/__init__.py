"""Reconciling: what the local and the Kubernetes adapter share."""
