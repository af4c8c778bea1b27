"""The page that shows a world: its map, its pairs, what happened to them, and two orders."""
