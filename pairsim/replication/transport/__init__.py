"""Authenticated connections between processes: one peer port per process for Raft and the state stream."""
