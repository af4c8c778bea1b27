"""Runs experiments one after the other, and removes their faults again."""
