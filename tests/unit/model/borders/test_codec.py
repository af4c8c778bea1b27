"""Messages, inputs and states survive the way through bytes, and hostile bytes are refused with a sentence."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from pairsim.model.borders import DEFAULT_LIMITS, Arrival, BorderInputs, BorderState
from pairsim.model.borders.codec import (
    BorderCodecError,
    apply_delta,
    decode_inputs,
    decode_message,
    decode_state,
    encode_delta,
    encode_inputs,
    encode_message,
    encode_state,
)
from tests.unit.model.borders.examples import FLAT, SCHEMA, TestedArea, command, grant, inputs_from, row_of_cells
from tests.unit.model.borders.product_areas import LIMITS, ProductArea, shown
from tests.unit.model.borders.worlds import ProductWorld


class FollowedWorld(ProductWorld):
    """A world in which a passive follows each area by deltas, some ticks at once, and another one by keyframes."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.passives: dict[int, tuple[BorderState, BorderState]] = {}
        self.followed = 0
        self.chance = random.Random(seed)

    def step(self, *, quiet: bool = False) -> None:
        super().step(quiet=quiet)
        for number, area in self.areas.items():
            assert isinstance(area, ProductArea)
            active, passive = self.passives.setdefault(number, (area.borders, area.borders.copy()))
            if active is area.borders or self.chance.random() < 0.6:
                continue
            schema = area.table.schema
            followed = apply_delta(passive, encode_delta(active, area.borders), schema)
            assert followed.digest() == area.borders.digest()
            assert encode_state(followed) == encode_state(area.borders)
            assert passive.digest() == active.digest()
            if self.chance.random() < 0.3:
                followed = decode_state(encode_state(area.borders), schema, LIMITS)
                assert followed.digest() == area.borders.digest()
            shown(followed, area.table, area.tick, ())
            self.passives[number] = area.borders, followed
            self.followed += 1


@pytest.mark.parametrize("seed", range(8))
def test_a_passive_that_follows_by_deltas_has_the_state_of_its_active(seed: int) -> None:
    world = FollowedWorld(seed)
    world.run(200)
    assert world.followed > 50


def crossed() -> tuple[TestedArea, bytes]:
    """Returns an area and the message with which three entities in two groups left it."""
    area = TestedArea(1)
    area.put(7, 8, x=12.0)
    area.put(9, x=5.0, parent=8)
    area.run(BorderInputs(), command(9))
    return area, encode_message(area.state.link(2).outbox[1])


def test_a_message_survives_the_way_through_bytes() -> None:
    area, data = crossed()
    message = decode_message(data, SCHEMA)
    assert message.digest == area.state.link(2).outbox[1].digest
    message.packed = None
    assert encode_message(message) == data


def test_inputs_survive_the_way_through_bytes() -> None:
    area, data = crossed()
    taken_in = inputs_from(area, TestedArea(2), room=1_000)._replace(clocks=(5,), grants=(grant(row_of_cells(3)),))
    again = decode_inputs(encode_inputs(taken_in), SCHEMA)
    assert encode_inputs(again) == encode_inputs(taken_in)
    assert again._replace(arrivals=()) == taken_in._replace(arrivals=())
    assert [encode_message(arrival.message) for arrival in again.arrivals] == [data]


def test_the_digest_does_not_depend_on_the_order_in_which_links_began() -> None:
    states = [BorderState(1), BorderState(1)]
    for state, areas in zip(states, ([2, 3], [3, 2]), strict=True):
        for area in areas:
            state.link(area).taken = area
    assert states[0].digest() == states[1].digest()


def test_a_delta_changes_no_other_state_than_the_one_that_it_was_made_for() -> None:
    area, _ = crossed()
    base = area.state.copy()
    area.run()
    delta = encode_delta(base, area.state)
    with pytest.raises(BorderCodecError, match="another state"):
        apply_delta(area.state, delta, SCHEMA)


def ints(*numbers: int) -> bytes:
    return np.array(numbers, np.int64).tobytes()


BODY, IDS, SIZES, COLUMNS, MEMORY = 0, 3, 4, 5, 6
"""Places in a packed message and in its bundle."""

HOSTILE: dict[str, tuple[Callable[[list[Any]], None], str]] = {
    "half an id": (lambda m: m[BODY].__setitem__(IDS, m[BODY][IDS][:-3]), "bytes are not up to"),
    "an id that comes twice": (lambda m: m[BODY].__setitem__(IDS, ints(7, 8, 7)), "comes twice"),
    "a negative id": (lambda m: m[BODY].__setitem__(IDS, ints(7, 8, -9)), "not within 0"),
    "ids of floats": (lambda m: m[BODY].__setitem__(IDS, np.full(3, np.nan, np.float32).tobytes()), "bytes"),
    "no entities": (lambda m: m[BODY].__setitem__(IDS, b""), "no entities"),
    "fewer entities than groups": (lambda m: m[BODY].__setitem__(SIZES, ints(1, 1)), "the groups have 2"),
    "an empty group": (lambda m: m[BODY].__setitem__(SIZES, ints(3, 0)), "not within 1"),
    "groups whose sizes overflow": (lambda m: m[BODY].__setitem__(SIZES, ints(*[2**62] * 4)), "not within 1"),
    "a missing column": (lambda m: m[BODY][COLUMNS].pop(), "the columns are"),
    "another dtype": (lambda m: m[BODY][COLUMNS][0].__setitem__(1, "float64"), "the columns are"),
    "another width": (lambda m: m[BODY][COLUMNS][0].__setitem__(2, 2), "the columns are"),
    "another name": (lambda m: m[BODY][COLUMNS][0].__setitem__(0, "x" * 1_000), "the columns are"),
    "a short column": (lambda m: m[BODY][COLUMNS][0].__setitem__(3, bytes(8)), "8 bytes are not those of 3"),
    "a version of 64 bits": (lambda m: m[BODY].__setitem__(2, 2**63), "not a message"),
    "a clock of 64 bits": (lambda m: m.__setitem__(1, 2**63), "not a message"),
    "a negative clock": (lambda m: m.__setitem__(1, -1), "not a message"),
    "text instead of ids": (lambda m: m[BODY].__setitem__(IDS, "ids"), "not a message"),
    "an unknown kind": (lambda m: m[BODY].__setitem__(0, "bomb"), "not a message"),
    "a key of another length": (lambda m: m[BODY][MEMORY].__setitem__(0, bytes(15)), "have 15 bytes"),
    "a command of another entity": (lambda m: m[BODY][MEMORY].__setitem__(1, ints(77)), "not there"),
    "an attempt of zero": (lambda m: m[BODY][MEMORY].__setitem__(2, ints(0)), "not within 1"),
    "a command without an attempt": (lambda m: m[BODY][MEMORY].__setitem__(2, b""), "1 are needed"),
    "a reason of no command": (lambda m: m[BODY][MEMORY].__setitem__(3, {4: "no"}), "not there"),
    "a long reason": (lambda m: m[BODY][MEMORY].__setitem__(3, {0: "no" * 300}), "not a message"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_message_is_refused(name: str) -> None:
    _, data = crossed()
    message = msgspec.msgpack.decode(data)
    change, sentence = HOSTILE[name]
    change(message)
    with pytest.raises(BorderCodecError, match=sentence):
        decode_message(msgspec.msgpack.encode(message), SCHEMA)


def test_a_command_that_comes_twice_is_refused() -> None:
    _, data = crossed()
    message = msgspec.msgpack.decode(data)
    keys, entities, attempts, _ = message[BODY][MEMORY]
    message[BODY][MEMORY] = [keys * 2, entities * 2, attempts * 2, {}]
    with pytest.raises(BorderCodecError, match="a command comes twice"):
        decode_message(msgspec.msgpack.encode(message), SCHEMA)


def test_a_message_of_an_area_with_other_components_is_refused() -> None:
    _, data = crossed()
    with pytest.raises(BorderCodecError, match=r"the columns are position \(3 x float32\), .* and those of the area"):
        decode_message(data, FLAT)


@pytest.mark.parametrize("kept", [0, 1, 10, 100, -1])
def test_a_cut_message_is_refused(kept: int) -> None:
    _, data = crossed()
    with pytest.raises(BorderCodecError):
        decode_message(data[:kept], SCHEMA)


@pytest.mark.parametrize(("area", "sequence"), [(0, 1), (-1, 1), (2**31, 1), (1, 0), (1, -5), (1, 2**62)])
def test_an_arrival_out_of_range_is_refused(area: int, sequence: int) -> None:
    _, data = crossed()
    arrival = Arrival(area, sequence, decode_message(data, SCHEMA))
    with pytest.raises(BorderCodecError, match="not the inputs of a tick"):
        decode_inputs(encode_inputs(BorderInputs(arrivals=(arrival,))), SCHEMA)


def test_random_changes_of_bytes_are_refused_or_read_and_never_anything_else() -> None:
    area, data = crossed()
    whole, rng = encode_state(area.state), random.Random(1)
    delta = encode_delta(TestedArea(1).state, area.state)
    base = TestedArea(1).state
    for _ in range(3_000):
        for content, decode in (
            (data, lambda d: decode_message(d, SCHEMA)),
            (whole, lambda d: decode_state(d, SCHEMA, DEFAULT_LIMITS)),
            (delta, lambda d: apply_delta(base, d, SCHEMA)),
        ):
            changed = bytearray(content)
            for _ in range(rng.randrange(1, 4)):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
            try:
                decode(bytes(changed))
            except BorderCodecError:
                continue
