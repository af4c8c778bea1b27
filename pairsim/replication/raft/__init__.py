"""Raft: elections, replication, the journal, snapshots."""
