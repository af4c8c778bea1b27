"""Verdicts: whether each invariant held in an experiment, and how that is reported."""
