"""The schema of a state that is stored, compared with that of the simulator that is to continue it."""

from __future__ import annotations

import pytest

from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.stored_schema import decode_schema, encode_schema, schema_difference

MASS, PLACE = Component("mass", "float64", 1, 0, 9), Component("place", "float32", 3)
HEAT, NEW = Component("heat", "int8"), "the column 'heat' of the simulator is not in the state"
STORED = Schema((MASS, PLACE))


def test_a_schema_is_read_as_it_was_written() -> None:
    assert decode_schema(encode_schema(STORED)) == STORED


@pytest.mark.parametrize(
    ("current", "sentence"),
    [
        ((MASS, PLACE), ""),
        ((Component("mass", "float64", 1, 5, 6), PLACE), ""),
        ((MASS, PLACE, HEAT), NEW),
        ((PLACE,), "the column 'mass' of the state is not in the simulator"),
        (
            (Component("mass", "int64"), PLACE),
            "the column 'mass' is float64 in the state and int64 in the simulator",
        ),
        (
            (MASS, Component("place", "float32", 2)),
            "the column 'place' is 3 x float32 in the state and 2 x float32 in the simulator",
        ),
        ((PLACE, MASS), "the order of the columns is mass, place in the state and place, mass in the simulator"),
        ((HEAT, PLACE), f"{NEW}; the column 'mass' of the state is not in the simulator"),
    ],
)
def test_the_columns_that_differ_are_named(current: tuple[Component, ...], sentence: str) -> None:
    assert schema_difference(STORED, Schema(current)) == sentence
