"""Faults of the network links between local processes."""
