"""How a simulator advances the state of an area by one tick."""
