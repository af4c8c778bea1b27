"""The command lines of the controller: `pairsim up` and `pairsim-controller`."""
