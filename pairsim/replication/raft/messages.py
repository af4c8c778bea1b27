"""The messages between the members of a Raft group.

Every message is a tagged, typed struct: a frame that does not fit a type is refused when it arrives, and nothing is
ever unpickled. pysyncobj works with dictionaries, so this module converts messages to dictionaries and back. The
names of fields and the tags are the wire format.
"""

from __future__ import annotations

import msgspec

from pairsim.model.decode_errors import UNDECODABLE
from pairsim.replication.standing import Standing

Entry = tuple[bytes, int, int]
"""A log entry: its command, its index, and the term in which a leader appended it."""

RaftMessage = dict[str, object]
"""A message in pysyncobj's own form; the key `type` says which."""


class MessageError(ValueError):
    """The bytes are not a message of this protocol."""


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """A piece of a leader's snapshot.

    Attributes:
        term: The term of the leader that sends the snapshot.
        index: Index of the last entry that the snapshot covers.
        offset: Offset of the piece in the snapshot, in bytes.
        data: The bytes of the piece.
        end: In the last piece only: the last two entries that the snapshot covers.
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
    """A follower's answer to AppendEntries.

    Attributes:
        term: The follower's term when it answered, so that a leader ignores answers to an earlier leadership.
        next_node_idx: Index of the first entry that the follower lacks.
        reset: Whether the follower refused entries because its log does not fit; the leader goes back then.
        success: Whether the follower's log agrees with the leader's up to `next_node_idx - 1`.
    """

    term: int
    next_node_idx: int
    reset: bool
    success: bool


class RequestVote(msgspec.Struct, tag="request_vote", tag_field="type"):
    """Raft's RequestVote: a candidate asks for the vote of a term."""

    term: int
    last_log_index: int
    last_log_term: int


class ResponseVote(msgspec.Struct, tag="response_vote", tag_field="type"):
    """Raft's answer to RequestVote: the vote of this term is granted."""

    term: int


class TimeoutNow(msgspec.Struct, tag="timeout_now", tag_field="type"):
    """Asks the receiver to campaign at once: a transfer of leadership (Raft thesis, 3.10)."""

    term: int


class PreVote(msgspec.Struct, tag="pre_vote", tag_field="type"):
    """Asks whether the receiver would vote for the sender, before the sender raises its term (Raft thesis, 9.6).

    Attributes:
        term: The term in which the sender would campaign.
        round: A number of this question, which the answer repeats.
        last_index: Index of the last entry of the sender's log.
        last_term: Term of that entry.
    """

    term: int
    round: int
    last_index: int
    last_term: int


class PreVoteGranted(msgspec.Struct, tag="pre_vote_granted", tag_field="type"):
    """Answers a PreVote: the sender would vote for the receiver. `round` is the number of the question."""

    round: int


class Ping(msgspec.Struct, tag="ping", tag_field="type"):
    """Keeps a link warm and reports the sender's part in the group (`quarantine.py`).

    Attributes:
        quarantined: Whether the sender is in quarantine; it does not vote then.
        incarnation: The number of the sender's journal, drawn when the journal was created.
        founders: Incarnations of the group's initial members, by name; empty if the sender does not know them.
        capable: Whether the sender could simulate if it led: it is a replica, and it has the state.
        starved: The longest time that the sender recently waited for a processor, in seconds (`patience.py`).
        standing: The chance of the sender to compute its next tick (`standing.py`).
    """

    quarantined: bool
    incarnation: int
    founders: dict[str, int]
    capable: bool
    starved: float = 0.0
    standing: Standing = Standing()


Message = AppendEntries | NextNodeIdx | RequestVote | ResponseVote | TimeoutNow | PreVote | PreVoteGranted | Ping

_encoder = msgspec.msgpack.Encoder()
_messages: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode_message(message: Message | RaftMessage) -> bytes:
    """Returns a message as MessagePack; it may be a struct of this module or a dictionary of pysyncobj."""
    return _encoder.encode(message)


def decode_message(payload: bytes) -> Message:
    """Returns the message that the bytes hold.

    Raises:
        MessageError: The bytes are not a message of this protocol.
    """
    try:
        return _messages.decode(payload)
    except UNDECODABLE as error:
        raise MessageError(f"not a Raft message: {error}") from error


def to_raft(message: Message) -> RaftMessage:
    """Returns a message as the dictionary that pysyncobj expects; unset fields are left out."""
    fields: RaftMessage = {
        name: value for name, value in msgspec.structs.asdict(message).items() if value is not msgspec.UNSET
    }
    fields["type"] = message.__struct_config__.tag
    return fields
