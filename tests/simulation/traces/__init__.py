"""Protocol stories as readable traces; `python -m tests.simulation.traces --write` rewrites their outputs."""
