"""What a trace says of the messages between processes.

Pings, AppendEntries, their answers and the deltas of the state are the steady hum of a healthy pair: a trace leaves
them out. Votes, transfers of the leadership, snapshots and keyframes tell the story.
"""

from __future__ import annotations

from pairsim.model.status import Succession
from pairsim.replication.clock import monotonic
from pairsim.replication.raft import messages as raft
from pairsim.replication.raft.node import RaftNode
from pairsim.replication.sync.messages import KEYFRAME, FrameHeader, decode_to_subscriber


def describe(key: str, message: object, group: RaftNode) -> str | None:
    """Returns the sentence for a message; `{}` stands for the receiver. None if a trace leaves the message out.

    Args:
        key: The key of the sender's endpoint: its name, the kind of the link, and for Raft the area and the generation.
        message: The bytes, or an answer of a subscriber of the state stream, which a trace leaves out.
        group: The sender's current group.
    """
    if not isinstance(message, bytes):
        return None
    kind = key.split("|")[1]
    if kind == "raft":
        return describe_raft(raft.decode_message(message), group)
    if kind == "serve":
        header, _body = decode_to_subscriber(message)
        if isinstance(header, FrameHeader) and header.base == KEYFRAME:
            return f"sends {{}} a keyframe, the whole state at tick {header.tick}"
    return None


def describe_raft(message: raft.Message, group: RaftNode) -> str | None:
    """Returns the sentence for a message between members; None for the steady ones."""
    match message:
        case raft.PreVote():
            return f"{reason_to_campaign(group)}: pre-vote for term {message.term} -> {{}}"
        case raft.PreVoteGranted():
            return "grants the pre-vote of {}"
        case raft.RequestVote(last_log_index=-1):
            return f"answers {{}}, which is behind, with its term {message.term}"
        case raft.RequestVote():
            return f"campaigns: vote for term {message.term} -> {{}}"
        case raft.ResponseVote():
            return f"votes for {{}} in term {message.term}"
        case raft.TimeoutNow():
            return "hands the leadership to {}: campaign at once"
        case raft.AppendEntries() if message.serialized:
            return "sends {} a snapshot of its log"
        case _:
            return None


def reason_to_campaign(group: RaftNode) -> str:
    """Returns why a member asks for pre-votes."""
    leader, election = group.leader, group._election
    if monotonic() < election._campaign_until:
        return "led the generation before"
    if leader is None or leader == group.me:
        return "no leader is known"
    if election.loss_reason is Succession.CLOSED:
        return f"the link to the leader {leader} is closed"
    return f"no word from the leader {leader}"
