"""The key exchange that opens a channel between two processes that share a secret, without I/O.

The initiator sends a greeting and the responder answers with a reply. Both carry a fresh X25519 key, which gives
forward secrecy. HKDF-SHA256 (RFC 5869) derives one key per direction from the shared secret, the X25519 result and the
transcript of both messages, so a change to either message leads to different keys.

Neither message proves anything: each side is authenticated only when its first frame is decrypted.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pairsim.model.decode_errors import UNDECODABLE
from pairsim.replication.transport.channel import MAX_FRAME, Channel, ChannelError

_T = TypeVar("_T")

VERSION = 1
"""The version of the peer protocol; both sides must speak the same one."""

MAX_GREETING = 1024
"""The limit of a greeting or a reply in bytes."""

_MAGIC = b"pairsim"


class Hello(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The purpose of a connection, authenticated together with the keys.

    Attributes:
        kind: `raft`, `sync` or `interface`.
        area, generation: The Raft group that the connection belongs to.
        sender, receiver: The names of the initiating and the responding process.
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


class Initiator:
    """The dialling side of a key exchange: it sends `greeting` and passes the reply to `channel`."""

    def __init__(self, secret: bytes, hello: Hello) -> None:
        """Generates a fresh key pair and the greeting.

        Raises:
            ChannelError: The names in `hello` are too long.
        """
        self._secret = secret
        self._private = X25519PrivateKey.generate()
        self.greeting = _encode(_Greeting(hello, os.urandom(32), self._private.public_key().public_bytes_raw()))
        if len(self.greeting) > MAX_GREETING:
            raise ChannelError(f"a greeting may have at most {MAX_GREETING} bytes: shorten the names")

    def channel(self, reply: bytes, max_frame: int = MAX_FRAME) -> Channel:
        """Returns the channel. The peer is not authenticated until its first frame is decrypted.

        Raises:
            ChannelError: `reply` is not a valid reply.
        """
        answer = _decode(reply, _Reply)
        outbound, inbound = _derive_keys(self._secret, self._private, answer.key, self.greeting, reply)
        return Channel(outbound, inbound, max_frame)


def respond(secret: bytes, greeting: bytes, max_frame: int = MAX_FRAME) -> tuple[Hello, bytes, Channel]:
    """Returns the purpose of the connection, the reply to send, and the channel of the dialled side.

    The initiator, and with it the purpose, is not authenticated until the initiator's first frame is decrypted.

    Raises:
        ChannelError: `greeting` is not a valid greeting.
    """
    hello, reply, (channel,) = respond_to_any((secret,), greeting, max_frame)
    return hello, reply, channel


def respond_to_any(
    secrets: Sequence[bytes], greeting: bytes, max_frame: int = MAX_FRAME
) -> tuple[Hello, bytes, tuple[Channel, ...]]:
    """Does what `respond` does for an initiator that may know any of these secrets, and returns a channel for each.

    The initiator's first frame opens in the channel of the secret that the initiator knows.

    Raises:
        ChannelError: `greeting` is not a valid greeting.
    """
    greeted = _decode(greeting, _Greeting)
    private = X25519PrivateKey.generate()
    reply = _encode(_Reply(os.urandom(32), private.public_key().public_bytes_raw()))
    keys = [_derive_keys(secret, private, greeted.key, greeting, reply) for secret in secrets]
    return greeted.hello, reply, tuple(Channel(outbound, inbound, max_frame) for inbound, outbound in keys)


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


def _derive_keys(
    secret: bytes, private: X25519PrivateKey, public: bytes, greeting: bytes, reply: bytes
) -> tuple[bytes, bytes]:
    """Returns the key of the frames that the initiator sends, and the key of those that the responder sends."""
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise ChannelError("the other side sent an invalid public key") from None
    transcript = hashlib.sha256(len(greeting).to_bytes(4, "little") + greeting + reply).digest()
    material = HKDF(SHA256(), 64, transcript, b"pairsim peer channel %d" % VERSION).derive(secret + shared)
    return material[:32], material[32:]
