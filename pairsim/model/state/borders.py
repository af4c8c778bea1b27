"""The part of an area's state that concerns the world around it: its clock, and the authority in force.

Like the entities it belongs to the state: it is digested, streamed to the passive, written to checkpoints, and repeated
by a replay, tick by tick, from the inputs in the records.
"""

from __future__ import annotations

import msgspec

from pairsim.model.authority import Authority
from pairsim.model.decode_errors import UNDECODABLE

_NULL = b"\xc0"
"""MessagePack's code of null."""


class TickInputs(msgspec.Struct, frozen=True, array_like=True):
    """The inputs of a tick beside its commands; field order is the format in a record.

    Attributes:
        grants: Authorities, in the order of their arrival; one that is not newer than the one in force is ignored.
    """

    grants: list[Authority] = []


class BordersError(ValueError):
    """The bytes are not the borders of an area."""


class Borders(msgspec.Struct, frozen=True):
    """What an area knows of the world around it at one tick.

    Attributes:
        authority: The authority in force.
        clock: A Lamport clock (Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System", 1978).
    """

    authority: Authority
    clock: int = 0

    @classmethod
    def before_grants(cls, area: str) -> Borders:
        """Returns the borders at tick 0."""
        return cls(Authority.before_grants(area))

    def after(self, inputs: TickInputs) -> Borders:
        """Returns the borders after a tick with these inputs."""
        authority = self.authority
        for grant in inputs.grants:
            if grant.version > authority.version:
                authority = grant
        return Borders(authority, self.clock + 1)


class _EncodedBorders(msgspec.Struct, frozen=True, array_like=True):
    """Borders as they are sent and stored; where the authority is null, it is that of the state before."""

    clock: int
    authority: msgspec.Raw


def encode_borders(borders: Borders, base: Borders | None = None) -> bytes:
    """Returns borders as bytes; equal borders give equal bytes.

    Args:
        borders: The borders.
        base: The borders that the reader has; then the authority is left out if it is the same one.
    """
    known = base is not None and base.authority is borders.authority
    authority = _NULL if known else _encode_authority(borders.authority)
    return msgspec.msgpack.encode(_EncodedBorders(borders.clock, msgspec.Raw(authority)))


def decode_borders(data: bytes, base: Borders | None = None) -> Borders:
    """Returns the borders in these bytes, with the authority of `base` if they leave it out.

    Raises:
        BordersError: They hold something else, or leave out an authority that nothing brings.
    """
    try:
        found = msgspec.msgpack.decode(data, type=_EncodedBorders)
        authority = msgspec.msgpack.decode(found.authority, type=Authority | None)
    except UNDECODABLE as error:
        raise BordersError(f"not the borders of an area: {error}") from error
    if authority is not None:
        return Borders(authority, found.clock)
    if base is None:
        raise BordersError("not the borders of an area: the authority is missing")
    return Borders(base.authority, found.clock)


class _Newest:
    """The authority that was encoded last: a map of many cells takes a while, and each tick needs it."""

    encoded: tuple[Authority, bytes] | None = None


def _encode_authority(authority: Authority) -> bytes:
    newest = _Newest.encoded
    if newest is None or newest[0] is not authority:
        newest = _Newest.encoded = authority, msgspec.msgpack.encode(authority)
    return newest[1]
