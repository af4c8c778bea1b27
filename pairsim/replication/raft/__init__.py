"""The Raft group of an area: its members (`node`), and what each of them does by itself.

A group has three voters: the two replicas of a pair and the witness. A member replicates a log of records to the
others, keeps it in its journal, and applies the committed records to a state machine.
"""
