"""Experiment files: YAML with line numbers, the schemas of Chaos Mesh, and the quantities that its fields hold."""
