"""What travels between a client and a replica beside the model's own documents.

Client and server import the same structs, so that they cannot disagree; this module knows neither replication nor
numpy.
"""

from __future__ import annotations

import msgspec

from pairsim.model.commands import Command, Result, Value

MAX_BODY = 8 * 1024 * 1024
"""Bytes of a request's body or a session's frame."""

MAX_RELAYED = 5 * MAX_BODY
"""Bytes of a relayed frame: a number that takes two bytes in JSON takes nine in MessagePack."""

MAX_FRAME = 256 * 1024 * 1024
"""Bytes of a frame that an observer accepts."""

SESSION_BATCHES = 64
SESSION_COMMANDS = 20_000
"""Batches and commands in flight in one session; beyond it the server stops reading."""

RELAY_HEADER = "X-Pairsim-Relay"
"""Marks a session between two replicas: what comes over it is never relayed again."""

AREA_HEADER = "Pairsim-Area"
"""Of a request: the area that it is meant for."""

REPLICA_HEADER = "Pairsim-Replica"
"""Of a request: the process that it is meant for."""

TICK_HEADER, ENTITIES_HEADER = "Pairsim-Tick", "Pairsim-Entities"
"""Of a backup: the tick that it is of, and how many entities it has."""


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """The JSON body of every answer that is not a success.

    Attributes:
        error: A sentence.
        unknown: Whether commands of the request may have been applied all the same.
    """

    error: str
    unknown: bool = False


class CommandBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/commands`."""

    commands: list[Command]


class CommandAnswer(msgspec.Struct, frozen=True):
    """The answer to `POST /v1/commands`: a result per command, in the order of the commands."""

    term: int
    results: list[Result]


class SessionBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A client's frame in `/v1/session`; `seq` is the client's number, unique in the session."""

    seq: int
    commands: list[Command]


class SessionAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A server's frame in `/v1/session`: results, or an error with HTTP's code for it.

    Attributes:
        seq: Of the batch that it answers.
        term: The term that committed it; 0 with an error.
        results: One per command, in order.
        error: A sentence; empty when the batch was committed.
        code: 0, 400, 413, 429 or 503.
        retry: Whether the same batch (same ids) may succeed when sent again.
        unknown: Whether commands of the batch may have been applied all the same.
    """

    seq: int
    term: int = 0
    results: list[Result] = []
    error: str = ""
    code: int = 0
    retry: bool = False
    unknown: bool = False


class Entity(msgspec.Struct, frozen=True):
    """One entity of a listing."""

    id: int
    components: dict[str, Value]


class EntityAnswer(msgspec.Struct, frozen=True):
    """The answer of `GET /v1/entities/{id}`: the components as they are at `tick`."""

    id: int
    tick: int
    term: int
    components: dict[str, Value]


class EntitiesAnswer(msgspec.Struct, frozen=True):
    """The answer of `GET /v1/entities`, ordered by id.

    Attributes:
        tick, term: Of the state that the listing was read from.
        entities: At most `limit`.
        next: Pass it as `after` to go on; None at the end.
    """

    tick: int
    term: int
    entities: list[Entity]
    next: int | None


class DigestsAnswer(msgspec.Struct, frozen=True):
    """The answer of `GET /v1/digests`."""

    digests: dict[str, str]


class SwitchoverAnswer(msgspec.Struct, frozen=True):
    """The answer of `POST /v1/switchover`: ms from the old active's last commit to the new one's first."""

    gap_ms: float
    term: int


class Column(msgspec.Struct, frozen=True):
    """A component of some entities.

    Attributes:
        dtype: numpy's name with byte order, `<f4`.
        width: Numbers per entity.
        data: Rows in C order.
    """

    dtype: str
    width: int
    data: bytes


class Rows(msgspec.Struct, frozen=True):
    """Some entities: ids as little-endian int64, and their components in the same order."""

    ids: bytes = b""
    components: dict[str, Column] = {}

    def __len__(self) -> int:
        return len(self.ids) // 8


class Frame(msgspec.Struct, frozen=True):
    """What changed in an area of interest since the frame before.

    Attributes:
        tick, term: The committed tick it brings the observer to, and its term.
        keyframe: Whether it starts anew: `enter` is the whole content.
        enter: Entities that are new in the area of interest.
        update: Entities of which a selected component changed, with all selected components.
        leave: Ids (little-endian int64) of entities that are gone from it.
    """

    tick: int
    term: int
    keyframe: bool
    enter: Rows
    update: Rows
    leave: bytes
