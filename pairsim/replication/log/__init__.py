"""The replicated log of an area: its records and what they add up to."""
