"""The part of an area's state that concerns the world around it."""

from __future__ import annotations

import pytest

from pairsim.model.authority import Authority, Cell
from pairsim.model.state.borders import (
    Borders,
    BordersError,
    TickInputs,
    decode_borders,
    encode_borders,
)
from tests import builders

FIRST = Borders.before_grants("west")


def grant(version: int) -> Authority:
    return Authority(
        area="west", version=version, cells=(Cell(number=1, area="west", bounds=builders.cube(float(version))),)
    )


def test_the_clock_counts_ticks() -> None:
    assert FIRST.after(TickInputs()).after(TickInputs()) == Borders(FIRST.authority, clock=2)


def test_a_grant_is_in_force_from_its_tick_on() -> None:
    after = FIRST.after(TickInputs([grant(3)]))
    assert after.authority == grant(3)
    assert after.after(TickInputs()).authority == grant(3)


def test_a_lower_version_does_not_come_into_force() -> None:
    after = FIRST.after(TickInputs([grant(5), grant(4)]))
    assert after.authority == grant(5)
    assert after.after(TickInputs([grant(4)])).authority == grant(5)


def test_borders_are_encoded_and_decoded() -> None:
    borders = FIRST.after(TickInputs([grant(2)]))
    assert decode_borders(encode_borders(borders)) == borders


def test_an_authority_that_the_reader_has_is_left_out() -> None:
    before = FIRST.after(TickInputs([grant(2)]))
    after = before.after(TickInputs())
    data = encode_borders(after, before)
    assert len(data) < 10
    assert decode_borders(data, before) == after
    with pytest.raises(BordersError, match="the authority is missing"):
        decode_borders(data)


def test_another_authority_is_never_left_out() -> None:
    after = FIRST.after(TickInputs([grant(2)]))
    assert decode_borders(encode_borders(after, FIRST), FIRST) == after


@pytest.mark.parametrize("data", [b"", b"\x90", b"\x92\x01\x02", b"\xff" * 9])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BordersError, match="not the borders of an area"):
        decode_borders(data)
