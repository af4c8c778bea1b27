"""Faults of the links between local processes."""
