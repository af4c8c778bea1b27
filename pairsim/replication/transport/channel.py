"""A secure channel between two processes that share a secret; sans-I/O.

A handshake of two greetings agrees on fresh keys: X25519 for forward secrecy, mixed with the secret by
HKDF-SHA256 (RFC 5869), bound to all that both sides said. Everything after it is AES-256-GCM; the nonce is a
counter that is never sent, so a frame that is replayed, reordered, dropped or changed does not open. A side that
does not know the secret cannot make the first frame, and nothing is handed on before that one.

A frame is its length (4 bytes, little-endian) and its content in segments of at most `SEGMENT` bytes, each with a tag.
So a large frame is checked while it arrives, and a length that somebody made up costs no memory.

What is inside is for the caller to decode, into typed structs; nothing here unpickles.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pairsim.model.decode_errors import UNDECODABLE

_T = TypeVar("_T")

VERSION = 1
MAX_GREETING = 1024
MAX_FRAME = 64 * 2**20
LENGTH = 4
SEGMENT = 256 * 1024
TAG = 16
_MAGIC = b"pairsim"
_LAST_NONCE = 2**64

Buffer = bytes | bytearray | memoryview


class ChannelError(Exception):
    """The peer does not know the secret, or what came is not what it sent."""


class Hello(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a connection is for; authenticated together with the keys.

    Attributes:
        kind: `raft` or `sync`.
        area, generation: The group that it belongs to.
        sender, receiver: Names of the two processes.
    """

    kind: str
    area: str
    generation: int
    sender: str
    receiver: str


class _Greeting(msgspec.Struct, frozen=True, array_like=True, tag="greeting"):
    hello: Hello
    nonce: bytes
    key: bytes


class _Reply(msgspec.Struct, frozen=True, array_like=True, tag="reply"):
    nonce: bytes
    key: bytes


class Channel:
    """Frames in both directions. One thread seals and one opens; they may be different ones.

    Attributes:
        max_frame: The longest frame, sealed, in either direction; both sides must agree.
    """

    def __init__(self, sending: bytes, receiving: bytes, max_frame: int = MAX_FRAME) -> None:
        """`sending` and `receiving` are keys of 32 bytes that nobody used before."""
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
        """A frame of all parts in a row, to be sent before any later one.

        Raises:
            ChannelError: It is larger than the peer would take; nothing is used up.
        """
        size = sum(part.nbytes if isinstance(part, memoryview) else len(part) for part in parts)
        count = max(1, -(-size // SEGMENT))
        length = size + count * TAG
        if length > self.max_frame:
            raise ChannelError(f"a frame of {size} bytes is over the limit of {self.max_frame}")
        head = length.to_bytes(LENGTH, "little")
        sealed = bytearray(LENGTH + length)  # at its size from the start: growing and joining cost more than the cipher
        sealed[:LENGTH] = head
        with memoryview(sealed) as view:
            at = LENGTH
            for segment in _segments(parts) if count > 1 else [b"".join(parts)]:
                at += self._seal(segment, head, view[at : at + len(segment) + TAG])
                if count > 1:
                    time.sleep(0)  # encryption holds the interpreter's lock, and other threads have deadlines
        return sealed

    def _seal(self, plain: bytes | memoryview, head: bytes, into: memoryview) -> int:
        nonce = _nonce(self._sent)
        self._sent += 1
        return self._sending.encrypt_into(nonce, plain, head, into)

    @property
    def wanted(self) -> int:
        """How many bytes `take` needs next."""
        return min(self._left, SEGMENT + TAG) or LENGTH

    def take(self, data: Buffer) -> bytearray | None:
        """Takes the next `wanted` bytes of the stream; returns a frame when it is whole.

        Raises:
            ChannelError: The peer did not seal this. The channel is of no use any more.
        """
        if self._failed:
            raise ChannelError("the channel failed before")
        self._failed = True  # until this went well
        frame: bytearray | None = None
        if self._left:
            frame = self._open(data)
        else:
            self._begin(data)
        self._failed = False
        return frame

    def _begin(self, head: Buffer) -> None:
        length = int.from_bytes(head, "little")
        if not TAG <= length <= self.max_frame:
            raise ChannelError(f"a frame announces {length} bytes, allowed are {TAG} to {self.max_frame}")
        self._head, self._left = bytes(head), length

    def _open(self, sealed: Buffer) -> bytearray | None:
        if not self._filled:
            return self._open_first(sealed)
        with memoryview(self._frame) as view:
            self._filled += self._opened(sealed, view[self._filled : self._filled + len(sealed) - TAG])
        if self._left:
            return None
        frame, self._frame, self._filled = self._frame, bytearray(), 0
        return frame

    def _open_first(self, sealed: Buffer) -> bytearray | None:
        """The peer has proved the length when this opens, and only then is there room made for all of the frame."""
        size = self._left - TAG * -(-self._left // (SEGMENT + TAG))
        frame = bytearray(len(sealed) - TAG)
        self._opened(sealed, frame)
        if not self._left:
            return frame
        self._filled = len(frame)
        self._frame = frame.ljust(size, b"\0")
        return None

    def _opened(self, sealed: Buffer, into: Buffer) -> int:
        try:
            size = self._receiving.decrypt_into(_nonce(self._received), sealed, self._head, into)
        except InvalidTag:
            raise ChannelError("a frame is not authentic: another secret, or it was changed on the way") from None
        self._received += 1
        self._left -= len(sealed)
        return size

    def feed(self, data: bytes) -> list[bytearray]:
        """Takes bytes as they come and returns the frames that are whole.

        Raises:
            ChannelError: See `take`.
        """
        self._buffer += data
        frames: list[bytearray] = []
        at = 0
        with memoryview(self._buffer) as view:
            while len(view) - at >= self.wanted:
                end = at + self.wanted
                frame = self.take(view[at:end])
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
    """Cuts the parts in a row into segments, and copies only where a segment spans parts."""
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


class Initiator:
    """The side that dials: send `greeting`, give the answer to `channel`."""

    def __init__(self, secret: bytes, hello: Hello) -> None:
        """Draws fresh keys.

        Raises:
            ChannelError: The names in `hello` are too long.
        """
        self._secret = secret
        self._private = X25519PrivateKey.generate()
        self.greeting = _encode(_Greeting(hello, os.urandom(32), self._private.public_key().public_bytes_raw()))
        if len(self.greeting) > MAX_GREETING:
            raise ChannelError("a greeting may not be that long: shorten the names")

    def channel(self, reply: bytes, max_frame: int = MAX_FRAME) -> Channel:
        """The channel; the peer has proved nothing yet, until its first frame opens.

        Raises:
            ChannelError: That is no reply.
        """
        answer = _decode(reply, _Reply)
        there, back = _keys(self._secret, self._private, answer.key, self.greeting, reply)
        return Channel(there, back, max_frame)


def accept(secret: bytes, greeting: bytes, max_frame: int = MAX_FRAME) -> tuple[Hello, bytes, Channel]:
    """The side that is dialled: what the connection is for, the reply, and the channel.

    Nothing of it is proved until the initiator's first frame opens.

    Raises:
        ChannelError: That is no greeting.
    """
    greeted = _decode(greeting, _Greeting)
    private = X25519PrivateKey.generate()
    reply = _encode(_Reply(os.urandom(32), private.public_key().public_bytes_raw()))
    there, back = _keys(secret, private, greeted.key, greeting, reply)
    return greeted.hello, reply, Channel(back, there, max_frame)


def _encode(message: _Greeting | _Reply) -> bytes:
    return _MAGIC + bytes([VERSION]) + msgspec.msgpack.encode(message)


def _decode(data: bytes, kind: type[_T]) -> _T:
    start = len(_MAGIC)
    if data[:start] != _MAGIC or len(data) == start:
        raise ChannelError("the other side does not speak pairsim's peer protocol")
    if data[start] != VERSION:
        raise ChannelError(
            f"the other side speaks version {data[start]} of the peer protocol, this one version {VERSION}:"
            " run the same version of pairsim everywhere"
        )
    try:
        return msgspec.msgpack.decode(data[start + 1 :], type=kind)
    except UNDECODABLE:
        raise ChannelError("the other side's greeting is damaged") from None


def _keys(
    secret: bytes, private: X25519PrivateKey, public: bytes, greeting: bytes, reply: bytes
) -> tuple[bytes, bytes]:
    """The initiator's sending key and the acceptor's."""
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise ChannelError("the other side's key is none") from None
    transcript = hashlib.sha256(len(greeting).to_bytes(4, "little") + greeting + reply).digest()
    material = HKDF(SHA256(), 64, transcript, b"pairsim peer channel %d" % VERSION).derive(secret + shared)
    return material[:32], material[32:]
