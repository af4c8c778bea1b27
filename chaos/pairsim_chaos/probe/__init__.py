"""The probe: sends commands to a world, observes it, and collects evidence about its invariants."""
