"""The simulators that come with pairsim; others are found by entry point or `module:Class`."""
