"""The state stream: how the state gets from the active to the passive, beside the log."""
