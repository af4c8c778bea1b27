"""The linter: finds everything that is wrong with an experiment file."""
