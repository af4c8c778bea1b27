"""Whole messages over the socket between a node and its engine."""

from __future__ import annotations

import socket
import time

from pairsim.engine.framing import HEADER, MAX_BODY_BYTES, EngineProtocolError

_READ_BYTES = 2**18


class MessageChannel:
    """One end of the connection; for one thread, except for `shut`."""

    def __init__(self, connection: socket.socket) -> None:
        """Takes a connected socket."""
        self._socket = connection
        self._received = bytearray()

    def send(self, message: bytes, seconds: float | None = None) -> None:
        """Sends a message; within `seconds`, if they are given.

        Raises:
            EngineProtocolError: The other side has sent something that was not asked for.
            OSError: The connection failed; a TimeoutError if the message could not be sent in time.
        """
        if self._received:
            raise EngineProtocolError("sent a message without a request")
        self._socket.settimeout(seconds)
        self._socket.sendall(message)

    def receive(self, seconds: float | None = None) -> tuple[int, bytes]:
        """Returns the kind and the body of the next message.

        Args:
            seconds: The time limit; None for no limit.

        Raises:
            EngineProtocolError: The message is longer than any message.
            EOFError: The other side has closed the connection.
            OSError: The connection failed; a TimeoutError if the message did not come in time.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        self._fill(HEADER.size, deadline)
        length, kind = HEADER.unpack_from(self._received)
        if length > MAX_BODY_BYTES:
            raise EngineProtocolError(f"sent a message of {length:,} bytes, and {MAX_BODY_BYTES:,} are the most")
        end = HEADER.size + length
        self._fill(end, deadline)
        body = bytes(self._received[HEADER.size : end])
        del self._received[:end]
        return kind, body

    def shut(self) -> None:
        """Ends the connection: a thread that waits for a message gets an EOFError."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:  # it is closed, or the other side has ended it
            return

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def _fill(self, size: int, deadline: float | None) -> None:
        while len(self._received) < size:
            if deadline is None:
                self._socket.settimeout(None)
            else:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self._socket.settimeout(left)
            data = self._socket.recv(_READ_BYTES)
            if not data:
                raise EOFError
            self._received += data
