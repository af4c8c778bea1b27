"""What crosses the borders of areas: what an active reports, and whether every entity is accounted for."""
