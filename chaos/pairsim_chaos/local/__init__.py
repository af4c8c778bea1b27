"""Experiments in a world that `pairsim up` runs: what Chaos Mesh's daemons do to pods, done to processes."""
