"""Checkpoints: the state of an area on disk."""
