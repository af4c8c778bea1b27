"""Messages, inputs and states of borders as bytes. Bulk data are columns of bytes; all that is read is checked."""

from pairsim.model.borders.codec.columns import BorderCodecError
from pairsim.model.borders.codec.deltas import apply_delta, encode_delta
from pairsim.model.borders.codec.inputs import decode_inputs, encode_inputs
from pairsim.model.borders.codec.messages import decode_message, encode_message
from pairsim.model.borders.codec.states import decode_state, encode_state

__all__ = [
    "BorderCodecError",
    "apply_delta",
    "decode_inputs",
    "decode_message",
    "decode_state",
    "encode_delta",
    "encode_inputs",
    "encode_message",
    "encode_state",
]
