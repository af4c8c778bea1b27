"""The messages that turn a TCP connection into a `PeerLink`, within one deadline.

The dialling side sends a greeting, reads the reply, and proves with the first frame that it knows the secret. The
listening side answers that frame with a `HandshakeAnswer`, which also proves its own knowledge. Greeting and reply are
preceded by their length (4 bytes, little-endian).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

import msgspec

from pairsim.replication.transport.channel import LENGTH, MAX_FRAME, Channel, ChannelError
from pairsim.replication.transport.key_exchange import MAX_GREETING, Hello
from pairsim.replication.transport.peer_link import PeerLink, receive_exactly
from pairsim.replication.transport.sockets import Deadline

SEND_SECONDS = 30.0
"""How long a send on a new link may wait for the peer to accept data."""

MAX_HANDSHAKE_FRAME = 64 * 1024
"""The limit of a frame in bytes until the handshake is complete."""

PROOF = b"pairsim"
"""The content of the dialling side's first frame."""

_MAX_STREAM_FRAME = 2**30


class HandshakeAnswer(msgspec.Struct, frozen=True, array_like=True):
    """The listening side's decision, with the reason and the detail of a refusal."""

    accepted: bool
    reason: str = ""
    detail: bytes = b""


class Handshake:
    """A connection before it becomes a link: it carries few, short messages before a deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock, self._deadline = sock, deadline

    def send(self, data: bytes | bytearray) -> None:
        """Sends bytes before the deadline."""
        self._sock.settimeout(self._deadline.remaining())
        self._sock.sendall(data)

    def send_greeting(self, greeting: bytes) -> None:
        """Sends a greeting or a reply."""
        self.send(len(greeting).to_bytes(LENGTH, "little") + greeting)

    def receive_greeting(self) -> bytes:
        """Returns the peer's greeting or reply.

        Raises:
            ChannelError: The announced length is over the limit, so the peer does not speak this protocol.
            OSError: The connection ended, or the deadline has passed.
        """
        length = int.from_bytes(receive_exactly(self._sock, LENGTH, self._deadline), "little")
        if length > MAX_GREETING:
            raise ChannelError("the other side does not speak pairsim's peer protocol")
        return bytes(receive_exactly(self._sock, length, self._deadline))

    def receive_frame(self, channel: Channel) -> bytearray:
        """Returns the peer's next frame.

        Raises:
            ChannelError: The peer does not know the secret.
            OSError: The connection ended, or the deadline has passed.
        """
        frame: bytearray | None = None
        while frame is None:
            frame = channel.open_next(receive_exactly(self._sock, channel.bytes_needed, self._deadline))
        return frame

    def receive_frame_of_any(self, channels: Sequence[Channel]) -> tuple[bytearray, Channel]:
        """Returns the peer's first frame, and the only one of the channels that opens it.

        Raises:
            ChannelError: The peer knows none of the secrets.
            OSError: The connection ended, or the deadline has passed.
        """
        candidates = list(channels)
        while True:
            data = receive_exactly(self._sock, candidates[0].bytes_needed, self._deadline)
            failure = ChannelError("no channel opens the first frame")
            opened: list[tuple[Channel, bytearray | None]] = []
            for channel in candidates:
                try:
                    opened.append((channel, channel.open_next(data)))
                except ChannelError as error:
                    failure = error
            if not opened:
                raise failure
            for channel, frame in opened:
                if frame is not None:
                    return frame, channel
            candidates = [channel for channel, _ in opened]

    def link(self, channel: Channel, hello: Hello) -> PeerLink:
        """Returns the link; an authenticated peer may send large frames and is no longer bound by the deadline."""
        channel.max_frame = _MAX_STREAM_FRAME if hello.kind == "sync" else MAX_FRAME
        self._sock.settimeout(SEND_SECONDS)
        return PeerLink(self._sock, channel)
