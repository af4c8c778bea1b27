"""The `Plane` and `Area` documents of a world, read and checked."""
