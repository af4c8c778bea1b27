"""The messages between a client and a replica, beside the model's own documents.

Client and server import the same structs, so that they cannot disagree. This module imports neither replication nor
numpy.
"""

from __future__ import annotations

import msgspec

from pairsim.model.commands import Command, Result, Value

MAX_BODY = 8 * 1024 * 1024
"""Bytes of the largest body of a request, and of the largest frame in a session."""

MAX_RELAYED = 5 * MAX_BODY
"""Bytes of the largest relayed frame: a number that takes two bytes in JSON takes nine in MessagePack."""

MAX_FRAME = 256 * 1024 * 1024
"""Bytes of the largest frame that an observer accepts."""

SESSION_BATCHES = 64
SESSION_COMMANDS = 20_000
"""Batches and commands that may be in flight in one session; beyond that the server stops reading."""

RELAY_HEADER = "X-Pairsim-Relay"
"""Marks a session between two replicas: batches that come over it are never relayed again."""

AREA_HEADER = "Pairsim-Area"
"""Names the area that a request is meant for."""

REPLICA_HEADER = "Pairsim-Replica"
"""Names the process that a request is meant for."""

TICK_HEADER, ENTITIES_HEADER = "Pairsim-Tick", "Pairsim-Entities"
"""Headers of a backup: the tick of its state, and the number of its entities."""


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """The JSON body of every answer that is not a success.

    Attributes:
        error: The reason, as a sentence.
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
    """A client's frame in `/v1/session`; the client chooses `seq`, a number that is unique in the session."""

    seq: int
    commands: list[Command]


class SessionAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A server's frame in `/v1/session`: results, or an error with HTTP's code for it.

    Attributes:
        seq: The number of the batch that this frame answers.
        term: The term in which the batch was committed; 0 with an error.
        results: One per command, in the order of the commands.
        error: The reason, as a sentence; empty when the batch was committed.
        code: The HTTP status of the error: 400, 413, 429, 500 or 503; 0 when the batch was committed.
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
    """One entity of a listing, with its components by name."""

    id: int
    components: dict[str, Value]


class EntityAnswer(msgspec.Struct, frozen=True):
    """The answer of `GET /v1/entities/{id}`: the components of the entity at `tick`, a tick of the term `term`."""

    id: int
    tick: int
    term: int
    components: dict[str, Value]


class EntitiesAnswer(msgspec.Struct, frozen=True):
    """The answer of `GET /v1/entities`, ordered by id.

    Attributes:
        tick: The committed tick of the state that the listing was read from.
        term: The term of that tick.
        entities: At most `limit` entities.
        next: Pass this id as `after` to get the next page; None on the last page.
    """

    tick: int
    term: int
    entities: list[Entity]
    next: int | None


class LocateAnswer(msgspec.Struct, frozen=True):
    """The answer of `GET /v1/locate/{entity}`: the area that has an entity, or that it went to.

    Attributes:
        entity: The id of the entity.
        plane: The plane of the area.
        area: The name of the area; empty if the entity went to an area that is not known any more.
        number: The number of the area; 0 before its first grant.
        moved: Whether another area answered, which had the entity before.
        tick: The committed tick of the area that answered.
        clock: The clock of that tick. Of two areas that have the entity, the one with the higher clock has it.
        position: The position in metres, if the area that answered has it; null for a number that is not finite.
        urls: Bases of the HTTP APIs of the area's replicas, as far as they are known.
    """

    entity: int
    plane: str
    area: str
    number: int
    moved: bool
    tick: int
    clock: int
    position: list[float | None] | None
    urls: list[str]


class DigestsAnswer(msgspec.Struct, frozen=True):
    """The answer of `GET /v1/digests`: digests of 16 hex digits by tick number."""

    digests: dict[str, str]


class WarmEngineRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `PUT /v1/warm-engine`: whether the process keeps an engine ready whenever it is a spare."""

    keep: bool


class SwitchoverAnswer(msgspec.Struct, frozen=True):
    """The answer of `POST /v1/switchover`.

    Attributes:
        gap_ms: Milliseconds from the old active's last commit to the new active's first.
        term: The new active's term.
    """

    gap_ms: float
    term: int


class SkipRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/skip`: the id of a command of the tick that fails."""

    command: str


class FailingCommand(msgspec.Struct, frozen=True):
    """A command of the tick that fails.

    Attributes:
        id, op, entity: As in the command.
        left_out: Whether an order leaves it out already.
    """

    id: str
    op: str
    entity: int
    left_out: bool = False


class FailingTickAnswer(msgspec.Struct, frozen=True):
    """The answer of `GET /v1/skip`: the tick before which an area is paused.

    Attributes:
        tick: The tick.
        commands: All its commands, in their order; empty if it fails before it has any.
    """

    tick: int
    commands: list[FailingCommand]


class RestartRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/engines/restart`.

    Attributes:
        even_if_seen: Whether mended code may compute a tick that clients may have seen.
    """

    even_if_seen: bool = False


class OrderAnswer(msgspec.Struct, frozen=True):
    """The answer of `POST /v1/skip` and `POST /v1/engines/restart`: an order about engines that is in force.

    Attributes:
        tick: The tick that is tried again, or the first one with new engines.
        term: The term of the active.
        revision: How many orders about engines the log of the area has.
        running: Whether the engines were renewed while the area ran.
        other_code: Whether other code than before is in force.
        code_of: The name of the other replica, if that code is the one of its engine; else empty.
    """

    tick: int
    term: int
    revision: int
    running: bool = False
    other_code: bool = False
    code_of: str = ""


class Column(msgspec.Struct, frozen=True):
    """The values of one component of some entities.

    Attributes:
        dtype: numpy's name of the type with its byte order, `<f4` for example.
        width: Numbers per entity.
        data: The numbers of all entities, row by row (C order).
    """

    dtype: str
    width: int
    data: bytes


class Rows(msgspec.Struct, frozen=True):
    """Some entities: their ids as little-endian int64, and their components by name in the same order."""

    ids: bytes = b""
    components: dict[str, Column] = {}

    def __len__(self) -> int:
        return len(self.ids) // 8


class Frame(msgspec.Struct, frozen=True, omit_defaults=True):
    """The change of an area of interest since the frame before.

    An entity that left the area of interest is in `moved` if it went to another area, in `gone` if it was removed, and
    in neither if it left the box alone, or if the area does not remember.

    Attributes:
        tick: The committed tick that the observer is at after this frame.
        term: The term of that tick.
        keyframe: Whether the frame starts anew: `enter` is the whole content then.
        enter: Entities that are new in the area of interest.
        update: Entities of which a selected component changed, with all selected components.
        leave: Ids (little-endian int64) of entities that have left the area of interest.
        clock: The clock of the tick. Of two areas that say that they have an entity, the one with the higher clock has
            it. 0 from a process of an earlier version.
        moved: Ids of those in `leave` that went to another area, by its name; the name is empty if it is not known. In
            the keyframe that follows a gap, of all entities that moved since.
        gone: Ids of those in `leave` that were removed; likewise.
    """

    tick: int
    term: int
    keyframe: bool
    enter: Rows
    update: Rows
    leave: bytes
    clock: int = 0
    moved: dict[str, bytes] = {}
    gone: bytes = b""
