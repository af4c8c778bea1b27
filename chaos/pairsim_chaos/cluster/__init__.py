"""Experiments in a cluster: the files as they are, and Chaos Mesh to make them."""
