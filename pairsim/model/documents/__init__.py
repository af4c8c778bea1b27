"""The documents that users write: the reader of YAML files, and the `Plane` and `Area` documents of a world."""
