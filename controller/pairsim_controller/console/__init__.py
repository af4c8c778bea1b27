"""The web console of a world: its map, its pairs, a timeline, and buttons for switchover and kill."""
