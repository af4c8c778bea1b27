"""The codec of what a tick takes in over borders, as a part of the tick's record."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pairsim.model.authority import AreaNumber, Authority
from pairsim.model.borders.codec.columns import BorderCodecError
from pairsim.model.borders.codec.messages import decode_message, encode_message
from pairsim.model.borders.messages import Acknowledgement, Arrival, BorderInputs, Clock
from pairsim.model.decode_errors import UNDECODABLE
from pairsim.model.state.schema import Schema

_FirstSequence = Annotated[int, msgspec.Meta(ge=1, lt=2**62)]


class _PackedInputs(msgspec.Struct, frozen=True, array_like=True):
    clocks: tuple[Clock, ...]
    grants: tuple[Authority, ...]
    acknowledgements: tuple[tuple[AreaNumber, Acknowledgement], ...]
    arrivals: tuple[tuple[AreaNumber, _FirstSequence, bytes], ...]
    room: Annotated[int, msgspec.Meta(ge=0, le=2**62)]


_inputs = msgspec.msgpack.Decoder(_PackedInputs)


def encode_inputs(inputs: BorderInputs) -> bytes:
    """Returns the inputs of a tick as bytes."""
    arrivals = tuple((a.area, a.sequence, encode_message(a.message)) for a in inputs.arrivals)
    return msgspec.msgpack.encode(
        _PackedInputs(inputs.clocks, inputs.grants, inputs.acknowledgements, arrivals, inputs.room)
    )


def decode_inputs(data: bytes, schema: Schema) -> BorderInputs:
    """Returns the inputs of a tick in their bytes.

    Args:
        data: The bytes.
        schema: The components of the area's entities.

    Raises:
        BorderCodecError: The bytes are not the inputs of a tick of an area with these components.
    """
    try:
        packed = _inputs.decode(data)
    except UNDECODABLE as error:
        raise BorderCodecError(f"not the inputs of a tick: {error}") from error
    arrivals = tuple(Arrival(area, at, decode_message(message, schema)) for area, at, message in packed.arrivals)
    return BorderInputs(packed.clocks, packed.grants, packed.acknowledgements, arrivals, packed.room)
