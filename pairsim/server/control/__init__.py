"""What the controller and Kubernetes ask of a process: assignments, statuses, probes."""
