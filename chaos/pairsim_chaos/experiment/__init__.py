"""Experiments and their faults, typed."""
