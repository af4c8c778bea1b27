"""One replica: active or passive, as Raft decides."""
