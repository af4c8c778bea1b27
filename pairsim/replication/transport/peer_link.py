"""An authenticated connection between two processes, with blocking sends and receives."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from pairsim.replication.transport.channel import SEGMENT, TAG, Channel
from pairsim.replication.transport.sockets import Deadline, PeerError


class PeerLink:
    """An authenticated connection. One thread may send while another one receives.

    Its methods block; a caller that wants to poll uses `sock` and `channel` directly.

    Attributes:
        received_bytes: The bytes on the wire of the frame that `receive` waits for, as far as they have come.
    """

    def __init__(self, sock: socket.socket, channel: Channel) -> None:
        """Takes ownership of the socket."""
        self.sock, self.channel, self.received_bytes = sock, channel, 0
        self._sealed = memoryview(bytearray(SEGMENT + TAG))

    def send(self, *parts: bytes | memoryview) -> None:
        """Sends the concatenated parts as one frame.

        Raises:
            OSError: The link is broken, or the peer accepted no data for `SEND_SECONDS`, or for the `timeout` of the
                last `receive`. The link is unusable from then on.
            ChannelError: The frame is too large; the link stays usable.
        """
        self.sock.sendall(self.channel.seal(*parts))

    def receive(self, timeout: float) -> bytearray:
        """Returns the next frame.

        Raises:
            OSError: The link is broken, or (TimeoutError) the peer was silent for `timeout` seconds. The link is
                unusable from then on.
            ChannelError: The received bytes are not what the peer sent.
        """
        self.sock.settimeout(timeout)
        self.received_bytes = 0
        frame: bytearray | None = None
        while frame is None:
            needed = self.channel.bytes_needed
            frame = self.channel.open_next(_fill(self.sock, self._sealed[:needed], on_bytes=self._count))
        return frame

    def _count(self, size: int) -> None:
        self.received_bytes += size

    def close(self) -> None:
        """Closes the connection and wakes a thread that waits in it."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def receive_exactly(sock: socket.socket, size: int, deadline: Deadline) -> memoryview:
    """Reads `size` bytes before the deadline.

    Raises:
        PeerError: The peer closed the connection.
        TimeoutError: The deadline has passed.
    """
    return _fill(sock, memoryview(bytearray(size)), deadline)


def _fill(
    sock: socket.socket,
    data: memoryview,
    deadline: Deadline | None = None,
    on_bytes: Callable[[int], None] = lambda _size: None,
) -> memoryview:
    """Fills a buffer; without a deadline the socket's own timeout limits each read. `on_bytes` takes each size."""
    got = 0
    while got < len(data):
        if deadline is not None:
            sock.settimeout(deadline.remaining())
        more = sock.recv_into(data[got:])
        if not more:
            raise PeerError("the peer closed the connection")
        got += more
        on_bytes(more)
    return data
