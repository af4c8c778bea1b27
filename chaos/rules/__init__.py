"""The rules: what the schemas refuse, what Chaos Mesh's webhook refuses, what it accepts though it is wrong."""
