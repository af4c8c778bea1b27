"""The node's side: starts the engine, asks it, notices its end, and keeps its output."""
