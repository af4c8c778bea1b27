"""The rules: what the schemas and Chaos Mesh's webhook refuse, and what Chaos Mesh accepts without effect."""
