"""Pairs of connected channels."""

from __future__ import annotations

from pairsim.replication.transport.channel import MAX_FRAME, Channel
from pairsim.replication.transport.key_exchange import Hello, Initiator, respond

SECRET = b"a secret of the world"
HELLO = Hello(kind="raft", area="north", generation=2, sender="a", receiver="b")


def pair(secret: bytes = SECRET, other: bytes = SECRET, max_frame: int = MAX_FRAME) -> tuple[Channel, Channel]:
    """Returns the channels of the initiator and of the responder."""
    initiator = Initiator(secret, HELLO)
    hello, reply, acceptor = respond(other, initiator.greeting, max_frame)
    assert hello == HELLO
    return initiator.channel(reply, max_frame), acceptor
