"""The Python client: an area with both replicas of its pair behind one object, and a single process."""
