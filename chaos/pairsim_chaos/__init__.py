"""Chaos experiments against a world: files for Chaos Mesh, and what reads, checks and runs them."""
