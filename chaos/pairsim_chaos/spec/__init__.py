"""Experiment files: YAML with line numbers, the schemas of Chaos Mesh, its quantities."""
