"""Experiments and their faults as typed values, loaded from checked files."""
