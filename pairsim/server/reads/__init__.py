"""What the API reads of an area: entities, observations, backups."""
