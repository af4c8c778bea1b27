"""Runs experiments, one after the other, and takes back what they did."""
