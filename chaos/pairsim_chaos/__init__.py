"""Chaos experiments: reads, checks and runs Chaos Mesh experiment files, and judges the attacked world."""
