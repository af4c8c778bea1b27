"""The history of a world: what was observed, as numbered sentences with times that all readers show alike."""
