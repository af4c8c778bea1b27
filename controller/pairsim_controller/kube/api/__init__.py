"""How the controller speaks to an API server: connection, list and watch, work queue, lease, events."""
