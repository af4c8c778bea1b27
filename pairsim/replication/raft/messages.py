"""The messages between the members of a Raft group.

Everything is a tagged, typed struct: a frame that does not fit a type is refused at the edge, and nothing
is ever unpickled. pysyncobj speaks dictionaries, so messages are turned into them and back here.
"""

from __future__ import annotations

import msgspec

from pairsim.model.decode_errors import UNDECODABLE

Entry = tuple[bytes, int, int]
"""A log entry: command, index, term."""

RaftMessage = dict[str, object]
"""A message in pysyncobj's own form, told apart by its `type`."""


class MessageError(ValueError):
    """Bytes that are no message of this protocol."""


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """A piece of a leader's snapshot.

    Attributes:
        term: The leadership that sends it.
        index: Of the last entry that the snapshot covers.
        offset: Where the piece begins.
        data: The piece.
        end: With the last piece: the last two entries that the snapshot covers.
    """

    term: int
    index: int
    offset: int
    data: bytes
    end: tuple[Entry, Entry] | None


class AppendEntries(msgspec.Struct, tag="append_entries", tag_field="type", omit_defaults=True):
    """Raft's AppendEntries, heartbeat and (with `serialized`) InstallSnapshot."""

    term: int
    commit_index: int
    entries: list[Entry] | msgspec.UnsetType = msgspec.UNSET
    prevLogIdx: int | msgspec.UnsetType | None = msgspec.UNSET  # noqa: N815 - pysyncobj's word
    prevLogTerm: int | msgspec.UnsetType | None = msgspec.UNSET  # noqa: N815 - pysyncobj's word
    serialized: Chunk | msgspec.UnsetType = msgspec.UNSET


class NextNodeIdx(msgspec.Struct, tag="next_node_idx", tag_field="type"):
    """A follower's answer: where its log goes on, in the term in which it said so."""

    term: int
    next_node_idx: int
    reset: bool
    success: bool


class RequestVote(msgspec.Struct, tag="request_vote", tag_field="type"):
    """Raft's RequestVote."""

    term: int
    last_log_index: int
    last_log_term: int


class ResponseVote(msgspec.Struct, tag="response_vote", tag_field="type"):
    """A granted vote."""

    term: int


class TimeoutNow(msgspec.Struct, tag="timeout_now", tag_field="type"):
    """Leadership transfer: campaign at once."""

    term: int


class PreVote(msgspec.Struct, tag="pre_vote", tag_field="type"):
    """Would you vote for me in that term? Asked before the own term is raised (Raft thesis, 9.6)."""

    term: int
    round: int
    last_index: int
    last_term: int


class PreVoteGranted(msgspec.Struct, tag="pre_vote_granted", tag_field="type"):
    """Yes."""

    round: int


class Ping(msgspec.Struct, tag="ping", tag_field="type"):
    """Keeps a link warm and tells who is in quarantine (see `quarantine.py`).

    Attributes:
        quarantined: Whether the sender votes.
        incarnation: The sender's number, drawn at its first start.
        founders: Incarnations of the members that founded the group together, by name.
        capable: Whether the sender could simulate if it led: it is a replica, and it has the state.
    """

    quarantined: bool
    incarnation: int
    founders: dict[str, int]
    capable: bool


Message = AppendEntries | NextNodeIdx | RequestVote | ResponseVote | TimeoutNow | PreVote | PreVoteGranted | Ping

_encoder = msgspec.msgpack.Encoder()
_messages: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode_message(message: Message | RaftMessage) -> bytes:
    """Packs a message, ours or pysyncobj's."""
    return _encoder.encode(message)


def decode_message(payload: bytes) -> Message:
    """Unpacks a message.

    Raises:
        MessageError: It is none.
    """
    try:
        return _messages.decode(payload)
    except UNDECODABLE as error:
        raise MessageError(f"not a Raft message: {error}") from error


def to_raft(message: Message) -> RaftMessage:
    """The message as pysyncobj wants it."""
    fields: RaftMessage = {
        name: value for name, value in msgspec.structs.asdict(message).items() if value is not msgspec.UNSET
    }
    fields["type"] = message.__struct_config__.tag
    return fields
