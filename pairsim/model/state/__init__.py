"""The state of an area: its schema, its table of entities, its digest."""
