"""The engine of a replica: the process that runs the code of a simulator, apart from the node that has the vote.

The node asks, and the engine answers; both see the tables of the area in shared memory. A table is written by the side
whose turn it is: a request makes it the engine's turn, and the answer to it, or the end of the engine, the node's. So
code that raises, never returns, ends its process or writes where it should not costs the replica a tick, not its vote.
"""
