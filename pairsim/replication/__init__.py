"""One pair: Raft, the tick log, the state stream and the roles of a replica."""
