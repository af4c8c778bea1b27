"""Authenticated connections between processes: one peer port for Raft and the state stream."""
