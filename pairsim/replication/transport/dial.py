"""The dialling side of a link between two processes."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence

import msgspec

from pairsim.model.decode_errors import UNDECODABLE
from pairsim.replication.transport.channel import ChannelError
from pairsim.replication.transport.handshake import MAX_HANDSHAKE_FRAME, PROOF, Handshake, HandshakeAnswer
from pairsim.replication.transport.key_exchange import Hello, Initiator
from pairsim.replication.transport.peer_link import PeerLink
from pairsim.replication.transport.sockets import Deadline, PeerError, connect


class RefusedByPeerError(PeerError):
    """The peer knows the secret but refuses the connection.

    Attributes:
        reason: Why it refuses.
        detail: What the peer wants the caller to know instead, such as a later generation; may be empty.
    """

    def __init__(self, reason: str, detail: bytes) -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


class UnprovenError(PeerError):
    """The peer ended the handshake: it does not know the secret, or too many processes try to connect to it."""


def dial_with_any(address: str, secrets: Sequence[bytes], hello: Hello, timeout: float) -> PeerLink:
    """Does what `dial` does, and tries the secrets one after the other, each on a connection of its own.

    `timeout` is the limit of one attempt. Raises what `dial` raises.
    """
    for secret in secrets[:-1]:
        with contextlib.suppress(UnprovenError):
            return dial(address, secret, hello, timeout)
    return dial(address, secrets[-1], hello, timeout)


def dial(address: str, secret: bytes, hello: Hello, timeout: float) -> PeerLink:
    """Connects to host:port and authenticates both sides within `timeout` seconds.

    Raises:
        PeerError: The connection failed, or the handshake did not finish in time.
        UnprovenError: The listener rejected the proof.
        RefusedByPeerError: The peer refuses the connection.
        ChannelError: The listener does not know the secret, or does not speak the peer protocol.
    """
    initiator = Initiator(secret, hello)
    deadline = Deadline(timeout)
    sock = connect(address, deadline)
    with _explain_failure(sock, address):
        handshake = Handshake(sock, deadline)
        handshake.send_greeting(initiator.greeting)
        channel = initiator.channel(handshake.receive_greeting(), MAX_HANDSHAKE_FRAME)
        handshake.send(channel.seal(PROOF))
        answer = msgspec.msgpack.decode(handshake.receive_frame(channel), type=HandshakeAnswer)
        link = handshake.link(channel, hello)
    if not answer.accepted:
        link.close()
        raise RefusedByPeerError(answer.reason, answer.detail)
    return link


@contextlib.contextmanager
def _explain_failure(sock: socket.socket, address: str) -> Iterator[None]:
    """Closes the socket of a failed handshake, and translates the failure into a sentence about its cause."""
    try:
        yield
    except BaseException as error:
        sock.close()
        if isinstance(error, TimeoutError):
            raise PeerError(f"{address} did not finish the handshake in time") from error
        if isinstance(error, OSError):
            reason = "it has another secret, or too many try to connect"
            raise UnprovenError(f"{address} ended the handshake ({error.strerror or error}): {reason}") from error
        if isinstance(error, UNDECODABLE):
            raise ChannelError(f"{address} sent an answer that cannot be decoded") from error
        raise
