"""The simulator protocol, and how a simulator advances the state of an area by one tick."""
