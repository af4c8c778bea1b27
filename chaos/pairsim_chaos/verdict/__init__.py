"""What an experiment showed: each invariant held or not, and how it is told."""
