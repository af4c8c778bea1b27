"""The command line `pairsim-chaos`."""
