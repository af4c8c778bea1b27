"""Reading the state of an area: entities, observations, backups."""
