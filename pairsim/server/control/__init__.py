"""What the controller asks of a process: assignments, statuses, probes."""
