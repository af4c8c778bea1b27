"""What an area answered to its newest commands, and the part of it that travels with an entity.

A window remembers the newest answer to each command. It is copied at every tick, and compared with the window of
another replica at every tick, so both have to cost little. Each answer gets a serial, and the answers of so many
serials are a chunk. Copies share chunks, and a change copies the chunk that it concerns. A chunk is forgotten as a
whole, when its serials are too old. So the content is a function of the newest answers and of their serials, and
another window follows by the newest answers since a serial, whatever happened between.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import xxhash

from pairsim.model.borders.entity_sets import NO_IDS, Ids, IdSet

KEY_BYTES = 16
CHUNK_SERIALS = 8_192
MAX_REASON_CHARACTERS = 256
"""How many characters of a reason are kept."""

_ALL_BITS = 2**64 - 1

_ANSWER_BYTES, _CHARACTER_BYTES = 48, 4
"""The most bytes that an answer takes in a message: its hash, entity, attempt and the place of its reason; and those of
a character of the reason."""


class AnswerKind(enum.IntEnum):
    """What became of a command."""

    APPLIED = 0
    REJECTED = 1
    MOVED = 2
    """Its entity is not here."""
    FORWARDED = 3
    """It follows its entity, and the area waits for the answer."""


FINAL = frozenset({AnswerKind.APPLIED, AnswerKind.REJECTED})
"""The answers after which no attempt counts any more."""


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What an area decided about a command.

    Attributes:
        kind: What became of it.
        attempt: The attempt that was answered.
        entity: The entity that it is about.
        area: Where the entity went, if it moved; 0 if the area does not know.
        reason: Why it was rejected.
        tick: The tick of this area that gave the answer, or in which the answer came with its entity.
    """

    kind: AnswerKind
    attempt: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
    entity: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    area: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 0
    reason: Annotated[str, msgspec.Meta(max_length=MAX_REASON_CHARACTERS)] = ""
    tick: Annotated[int, msgspec.Meta(ge=0, lt=2**62)] = 0


def command_key(command: str) -> bytes:
    """Returns the hash of a command's id, by which windows know it."""
    return xxhash.xxh3_128_digest(command.encode())


class CommandMemory:
    """The final answers that travel with entities.

    Attributes:
        keys: The hashes of the commands' ids, `KEY_BYTES` each.
        entities: Their entities, int64 (m,).
        attempts: The attempts that were answered, int64 (m,).
        reasons: The reasons of those that were rejected, by place.
    """

    __slots__ = ("attempts", "entities", "keys", "reasons")

    def __init__(self, keys: bytes, entities: Ids, attempts: Ids, reasons: Mapping[int, str]) -> None:
        self.keys, self.entities, self.attempts, self.reasons = keys, entities, attempts, reasons

    def __len__(self) -> int:
        return len(self.entities)

    def __iter__(self) -> Iterator[tuple[bytes, Answer]]:
        for place, (entity, attempt) in enumerate(zip(self.entities.tolist(), self.attempts.tolist(), strict=True)):
            reason = self.reasons.get(place)
            kind = AnswerKind.APPLIED if reason is None else AnswerKind.REJECTED
            key = self.keys[place * KEY_BYTES : (place + 1) * KEY_BYTES]
            yield key, Answer(kind, attempt, entity, 0, reason or "")

    def of(self, ids: IdSet) -> CommandMemory:
        """Returns the part that belongs to some entities."""
        chosen = ids.mask(self.entities)
        if chosen.all():
            return self
        return memory_of([pair for pair, kept in zip(self, chosen.tolist(), strict=True) if kept])

    def digest(self) -> int:
        """Returns the xxh3 hash of the memory."""
        state = xxhash.xxh3_64(self.keys)
        state.update(self.entities.tobytes())
        state.update(self.attempts.tobytes())
        state.update(msgspec.msgpack.encode(sorted(self.reasons.items())))
        return state.intdigest()


NO_MEMORY = CommandMemory(b"", NO_IDS, NO_IDS, {})


def memory_of(answers: list[tuple[bytes, Answer]]) -> CommandMemory:
    """Returns final answers as they travel."""
    if not answers:
        return NO_MEMORY
    return CommandMemory(
        b"".join(key for key, _ in answers),
        np.array([answer.entity for _, answer in answers], np.int64),
        np.array([answer.attempt for _, answer in answers], np.int64),
        {place: a.reason for place, (_, a) in enumerate(answers) if a.kind is AnswerKind.REJECTED},
    )


class Given(NamedTuple):
    """An answer in a window, with its serial."""

    serial: int
    answer: Answer


class AnswerChunk:
    """The answers of a range of serials, in their order.

    Attributes:
        owner: The window that may write to it.
        entries: The answers by the hashes of the commands' ids.
        checksum: The sum of their hashes.
        packed: The chunk as bytes, if it was packed since the last change.
    """

    __slots__ = ("_final", "checksum", "entries", "owner", "packed")

    def __init__(self, owner: object, entries: dict[bytes, Given], checksum: int) -> None:
        self.owner, self.entries, self.checksum = owner, entries, checksum
        self._final: tuple[list[bytes], Ids] | None = None
        self.packed: bytes | None = None

    def put(self, key: bytes, given: Given) -> None:
        """Adds an answer with a serial above all others."""
        self.entries[key] = given
        self.checksum = self.checksum + _hash(key, given) & _ALL_BITS
        self._final = self.packed = None

    def drop(self, key: bytes) -> None:
        """Removes an answer."""
        self.checksum = self.checksum - _hash(key, self.entries.pop(key)) & _ALL_BITS
        self._final = self.packed = None

    def final(self) -> tuple[list[bytes], Ids]:
        """Returns the keys and the entities of the final answers, in the order of their serials."""
        if self._final is None:
            kept = [(key, g.answer.entity) for key, g in self.entries.items() if g.answer.kind in FINAL]
            self._final = [key for key, _ in kept], np.array([entity for _, entity in kept], np.int64)
        return self._final


class AnswerWindow:
    """The newest answers of an area.

    Attributes:
        serial: The serial of the newest answer.
    """

    def __init__(self, limit: int) -> None:
        """Makes an empty window.

        Args:
            limit: How many serials are remembered; rounded up to whole chunks.
        """
        self.serial = 0
        self._most_chunks = -(-limit // CHUNK_SERIALS) + 1
        self._owner = object()
        self._chunks: dict[int, AnswerChunk] = {}

    def __len__(self) -> int:
        return sum(len(chunk.entries) for chunk in self._chunks.values())

    def copy(self) -> AnswerWindow:
        """Returns a window with the same content; both share what does not change."""
        other = AnswerWindow(0)
        other.serial, other._most_chunks, other._chunks = self.serial, self._most_chunks, dict(self._chunks)
        self._owner = object()  # neither of the two may write to a chunk that both have
        return other

    def get(self, key: bytes) -> Answer | None:
        """Returns the newest answer to a command; None if it is not known."""
        for chunk in reversed(self._chunks.values()):
            given = chunk.entries.get(key)
            if given is not None:
                return given.answer
        return None

    def find(self, keys: Iterable[bytes]) -> dict[bytes, Answer]:
        """Returns the newest answers to commands; those that are not known are left out."""
        wanted, found = set(keys), dict[bytes, Answer]()
        for chunk in reversed(self._chunks.values()):
            for key in wanted & chunk.entries.keys():
                found[key] = chunk.entries[key].answer
        return found

    def put(self, key: bytes, answer: Answer, serial: int | None = None, *, new: bool = False) -> None:
        """Notes an answer in the place of the one before.

        Args:
            key: The hash of the command's id.
            answer: The answer.
            serial: A serial above that of the newest answer; the next one if not given.
            new: Whether the window has no answer to the command; then it is not looked for.
        """
        if not new:
            self._drop(key)
        self.serial = self.serial + 1 if serial is None else serial
        newest = self.serial // CHUNK_SERIALS
        if newest not in self._chunks:
            for number in [number for number in self._chunks if number <= newest - self._most_chunks]:
                del self._chunks[number]
        self._own(newest).put(key, Given(self.serial, answer))

    def chunks(self) -> tuple[AnswerChunk, ...]:
        """Returns the chunks in the order of their serials, to read."""
        return tuple(self._chunks.values())

    def since(self, serial: int) -> list[tuple[bytes, Given]]:
        """Returns the answers after a serial, in their order."""
        chunks = (chunk for number, chunk in self._chunks.items() if number >= serial // CHUNK_SERIALS)
        return [(key, given) for chunk in chunks for key, given in chunk.entries.items() if given.serial > serial]

    def memory(self, ids: IdSet, most_bytes: int = _ALL_BITS) -> CommandMemory:
        """Returns the final answers about some entities, of which the newest ones fit into so many bytes."""
        found: list[tuple[bytes, Answer]] = []
        for chunk in reversed(self._chunks.values()):
            keys, entities = chunk.final()
            for place in reversed(ids.find(entities)[0].tolist()):
                answer = chunk.entries[keys[place]].answer
                most_bytes -= _ANSWER_BYTES + _CHARACTER_BYTES * len(answer.reason)
                if most_bytes < 0:
                    return memory_of(found[::-1])
                found.append((keys[place], answer))
        return memory_of(found[::-1])

    def digest(self) -> tuple[int, int]:
        """Returns the serial, and the sum of the hashes of all answers."""
        return self.serial, sum(chunk.checksum for chunk in self._chunks.values()) & _ALL_BITS

    def _drop(self, key: bytes) -> None:
        for number, chunk in self._chunks.items():
            if key in chunk.entries:
                self._own(number).drop(key)
                return

    def _own(self, number: int) -> AnswerChunk:
        """Returns a chunk to write to."""
        chunk = self._chunks.get(number)
        if chunk is None:
            chunk = self._chunks[number] = AnswerChunk(self._owner, {}, 0)
        elif chunk.owner is not self._owner:
            chunk = self._chunks[number] = AnswerChunk(self._owner, dict(chunk.entries), chunk.checksum)
        return chunk


def _hash(key: bytes, given: Given) -> int:
    return xxhash.xxh3_64_intdigest(key + msgspec.msgpack.encode(given))
