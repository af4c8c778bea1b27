"""A secure channel between two processes that share a secret; sans-I/O.

A handshake of two greetings agrees on fresh keys: X25519 for forward secrecy, mixed with the secret by
HKDF-SHA256 (RFC 5869), bound to all that both sides said. Everything after it is AES-256-GCM; the nonce is a
counter that is never sent, so a frame that is replayed, reordered, dropped or changed does not open. A side that
does not know the secret cannot make the first frame, and nothing is handed on before that one.

What is inside is for the caller to decode, into typed structs; nothing here unpickles.
"""

from __future__ import annotations

import hashlib
import os
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_T = TypeVar("_T")

MAX_GREETING = 1024
MAX_FRAME = 64 * 2**20
LENGTH = 4
_LABEL = b"pairsim peer channel 1"
_TAG = 16


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
    """Frames in both directions. One thread seals and one opens; they may be different ones."""

    def __init__(self, sending: bytes, receiving: bytes, max_frame: int = MAX_FRAME) -> None:
        self._sending, self._receiving = AESGCM(sending), AESGCM(receiving)
        self._sent = self._received = 0
        self._max_frame = max_frame
        self._buffer = bytearray()

    def seal(self, *parts: bytes | memoryview) -> bytes:
        """A frame, to be sent before any later one.

        Raises:
            ChannelError: It is larger than the peer would take.
        """
        plain = parts[0] if len(parts) == 1 else b"".join(parts)
        if len(plain) + _TAG > self._max_frame:
            raise ChannelError(f"a frame of {len(plain)} bytes is over the limit of {self._max_frame}")
        sealed = self._sending.encrypt(self._sent.to_bytes(12, "little"), plain, None)
        self._sent += 1
        return len(sealed).to_bytes(LENGTH, "little") + sealed

    def length(self, head: bytes | bytearray | memoryview) -> int:
        """Bytes that follow a frame's first four.

        Raises:
            ChannelError: More than a frame may have, or fewer than it must.
        """
        length = int.from_bytes(head[:LENGTH], "little")
        if not _TAG <= length <= self._max_frame:
            raise ChannelError(f"a frame announces {length} bytes, allowed are {_TAG} to {self._max_frame}")
        return length

    def open(self, sealed: bytes | bytearray | memoryview) -> bytes:
        """What the peer sealed as its next frame.

        Raises:
            ChannelError: It did not seal this.
        """
        try:
            plain = self._receiving.decrypt(self._received.to_bytes(12, "little"), sealed, None)
        except InvalidTag:
            raise ChannelError("a frame is not authentic: another secret, or it was changed on the way") from None
        self._received += 1
        return plain

    def feed(self, data: bytes) -> list[bytes]:
        """Takes bytes as they come and returns the frames that are whole.

        Raises:
            ChannelError: See `length` and `open`; the channel is of no use any more.
        """
        self._buffer += data
        frames: list[bytes] = []
        at = 0
        while len(self._buffer) - at >= LENGTH:
            end = at + LENGTH + self.length(self._buffer[at : at + LENGTH])
            if end > len(self._buffer):
                break
            frames.append(self.open(bytes(memoryview(self._buffer)[at + LENGTH : end])))
            at = end
        if at:
            del self._buffer[:at]
        return frames


class Initiator:
    """The side that dials: send `greeting`, give the answer to `channel`."""

    def __init__(self, secret: bytes, hello: Hello) -> None:
        self._secret = secret
        self._private = X25519PrivateKey.generate()
        key = self._private.public_key().public_bytes_raw()
        self.greeting = msgspec.msgpack.encode(_Greeting(hello, os.urandom(32), key))
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
    reply = msgspec.msgpack.encode(_Reply(os.urandom(32), private.public_key().public_bytes_raw()))
    there, back = _keys(secret, private, greeted.key, greeting, reply)
    return greeted.hello, reply, Channel(back, there, max_frame)


def _decode(data: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except msgspec.MsgspecError:
        raise ChannelError("whoever connected does not speak this protocol") from None


def _keys(
    secret: bytes, private: X25519PrivateKey, public: bytes, greeting: bytes, reply: bytes
) -> tuple[bytes, bytes]:
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise ChannelError("the peer's key is none") from None
    transcript = hashlib.sha256(len(greeting).to_bytes(4, "little") + greeting + reply).digest()
    material = HKDF(SHA256(), 64, transcript, _LABEL).derive(secret + shared)
    return material[:32], material[32:]
