"""The one way of commands into an area, by request or by session."""
