"""Experiments against a world of `pairsim up`: injects into processes the faults that Chaos Mesh injects into pods."""
