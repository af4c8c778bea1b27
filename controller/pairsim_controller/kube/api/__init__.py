"""The controller's client of an API server: connection, list and watch, work queue, lease, events."""
