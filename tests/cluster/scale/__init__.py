"""The controller with a thousand areas: a real API server, and one process that answers for all pods."""
