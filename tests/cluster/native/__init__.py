"""A cluster of two nodes on one Linux machine without a container engine: real programs, in namespaces of their own."""
