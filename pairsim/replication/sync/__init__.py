"""The state stream: it carries the state from the active to the passive, beside the log."""
