"""An encrypted channel between two processes that share a secret, without I/O.

The keys of a channel come from a handshake (`key_exchange.py`). Every frame is encrypted with AES-256-GCM. The nonce is
a counter that is never sent, so a frame that is replayed, reordered, dropped or changed fails to decrypt. A peer that
does not know the secret cannot make the first frame, and callers act on nothing before the first frame is decrypted.

A frame consists of its length (4 bytes, little-endian) and its content in segments of at most `SEGMENT` bytes, each
followed by its tag. A large frame is therefore authenticated while it arrives, and a forged length costs no memory.

Callers decode the content of frames into typed structs; this module unpickles nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAX_FRAME = 64 * 2**20
"""The default limit of a frame in bytes, tags included."""

LENGTH = 4
"""Bytes of a frame's length."""

SEGMENT = 256 * 1024
"""The most bytes of content in one segment."""

TAG = 16
"""Bytes of a segment's authentication tag."""

_LAST_NONCE = 2**64

Buffer = bytes | bytearray | memoryview


class ChannelError(Exception):
    """The peer does not know the secret, or the received bytes are not what the peer sent."""


class Channel:
    """The frames of one connection in both directions. One thread may seal while another one opens.

    Attributes:
        max_frame: The limit of a frame in bytes, tags included, for both directions; both sides must agree on it.
    """

    def __init__(self, sending: bytes, receiving: bytes, max_frame: int = MAX_FRAME) -> None:
        """Takes two keys of 32 bytes, `sending` and `receiving`, that were never used before."""
        self.max_frame = max_frame
        self._sending, self._receiving = AESGCM(sending), AESGCM(receiving)
        self._sent = self._received = 0
        self._buffer = bytearray()
        self._head = b""
        self._left = 0
        self._frame = bytearray()
        self._filled = 0
        self._failed = False

    def seal(self, *parts: bytes | memoryview) -> bytearray:
        """Returns the encrypted frame of the concatenated parts; frames must be sent in the order of the calls.

        Raises:
            ChannelError: The frame exceeds `max_frame`. No nonce is used up, so the channel stays usable.
        """
        size = sum(part.nbytes if isinstance(part, memoryview) else len(part) for part in parts)
        count = max(1, -(-size // SEGMENT))
        length = size + count * TAG
        if length > self.max_frame:
            raise ChannelError(f"a frame of {size} bytes is over the limit of {self.max_frame}")
        head = length.to_bytes(LENGTH, "little")
        sealed = bytearray(LENGTH + length)  # full size from the start: growing and joining cost more than the cipher
        sealed[:LENGTH] = head
        with memoryview(sealed) as view:
            at = LENGTH
            for segment in _segments(parts) if count > 1 else [b"".join(parts)]:
                at += self._encrypt(segment, head, view[at : at + len(segment) + TAG])
                if count > 1:
                    time.sleep(0)  # encryption holds the interpreter's lock, and other threads have deadlines
        return sealed

    def _encrypt(self, plain: bytes | memoryview, head: bytes, into: memoryview) -> int:
        nonce = _nonce(self._sent)
        self._sent += 1
        return self._sending.encrypt_into(nonce, plain, head, into)

    @property
    def bytes_needed(self) -> int:
        """How many bytes the next call of `open_next` takes."""
        return min(self._left, SEGMENT + TAG) or LENGTH

    def open_next(self, data: Buffer) -> bytearray | None:
        """Takes the next `bytes_needed` bytes of the stream and returns the frame that they complete, if any.

        Raises:
            ChannelError: The peer did not seal these bytes. The channel is unusable from then on.
        """
        if self._failed:
            raise ChannelError("the channel failed before")
        self._failed = True  # until the rest of this call has succeeded
        frame: bytearray | None = None
        if self._left:
            frame = self._open_segment(data)
        else:
            self._begin_frame(data)
        self._failed = False
        return frame

    def _begin_frame(self, head: Buffer) -> None:
        length = int.from_bytes(head, "little")
        if not TAG <= length <= self.max_frame:
            raise ChannelError(f"a frame announces {length} bytes, allowed are {TAG} to {self.max_frame}")
        self._head, self._left = bytes(head), length

    def _open_segment(self, sealed: Buffer) -> bytearray | None:
        if not self._filled:
            return self._open_first_segment(sealed)
        with memoryview(self._frame) as view:
            self._filled += self._decrypt(sealed, view[self._filled : self._filled + len(sealed) - TAG])
        if self._left:
            return None
        frame, self._frame, self._filled = self._frame, bytearray(), 0
        return frame

    def _open_first_segment(self, sealed: Buffer) -> bytearray | None:
        """Decrypts the first segment, which authenticates the length, and only then allocates the whole frame."""
        size = self._left - TAG * -(-self._left // (SEGMENT + TAG))
        frame = bytearray(len(sealed) - TAG)
        self._decrypt(sealed, frame)
        if not self._left:
            return frame
        self._filled = len(frame)
        self._frame = frame.ljust(size, b"\0")
        return None

    def _decrypt(self, sealed: Buffer, into: Buffer) -> int:
        try:
            size = self._receiving.decrypt_into(_nonce(self._received), sealed, self._head, into)
        except InvalidTag:
            raise ChannelError("a frame is not authentic: another secret, or it was changed on the way") from None
        self._received += 1
        self._left -= len(sealed)
        return size

    def feed(self, data: bytes) -> list[bytearray]:
        """Takes received bytes in pieces of any size and returns the frames that they complete.

        Raises:
            ChannelError: The peer did not seal these bytes. The channel is unusable from then on.
        """
        self._buffer += data
        frames: list[bytearray] = []
        at = 0
        with memoryview(self._buffer) as view:
            while len(view) - at >= self.bytes_needed:
                end = at + self.bytes_needed
                frame = self.open_next(view[at:end])
                at = end
                if frame is not None:
                    frames.append(frame)
        if at:
            del self._buffer[:at]
        return frames


def _nonce(count: int) -> bytes:
    if count >= _LAST_NONCE:
        raise ChannelError("the channel is used up: connect again")
    return count.to_bytes(12, "little")


def _segments(parts: tuple[bytes | memoryview, ...]) -> Iterator[bytes | memoryview]:
    """Cuts the concatenated parts into segments, and copies only where a segment spans several parts."""
    row: list[memoryview] = []
    room = SEGMENT
    for part in parts:
        view = memoryview(part).cast("B")
        while view:
            row.append(view[:room])
            room -= len(row[-1])
            view = view[len(row[-1]) :]
            if not room:
                yield row[0] if len(row) == 1 else b"".join(row)
                row, room = [], SEGMENT
    if row:
        yield row[0] if len(row) == 1 else b"".join(row)
