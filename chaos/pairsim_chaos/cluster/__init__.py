"""Experiments against a world on Kubernetes, where Chaos Mesh injects the faults."""
