"""Which assignments a witness process takes, and that its areas do not disturb each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pairsim.model.assignment import Assignment
from pairsim.replication.process import shell, witness
from pairsim.replication.process.witness import WitnessProcess
from pairsim.replication.service import RefusedError
from tests import builders
from tests.unit.replication.process.processes import settings


class FakeArea:
    """An area that only knows its assignment."""

    def __init__(self, _settings: object, assignment: Assignment, _router: object, **_callbacks: object) -> None:
        self.readdressed: list[Assignment] = []
        membership = SimpleNamespace(assignment=assignment, readdress=self.readdressed.append)
        self.node = SimpleNamespace(membership=membership)
        self.did: list[str] = []

    def stop(self) -> None:
        self.did.append("stopped")

    def close(self) -> None:
        self.did.append("closed")


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WitnessProcess]:
    monkeypatch.setattr(witness, "WitnessArea", FakeArea)
    monkeypatch.setattr(WitnessProcess, "_report_change", lambda _self: None)
    made = WitnessProcess(settings("w", tmp_path))
    yield made
    made.close()


def generation(number: int, area: str = "north", *members: str) -> Assignment:
    return builders.assignment(*members, spec=builders.area(area), generation=number)


def areas(process: WitnessProcess) -> dict[str, FakeArea]:
    return cast("dict[str, FakeArea]", process._areas)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (generation(3, "north", "a", "b", "v"), "w is not the witness of that generation"),
        (generation(3, "north", "a", "w", "v"), "w is not the witness of that generation"),
        (generation(1), "generation 2 is in force, 1 is over"),
    ],
)
def test_an_assignment_that_contradicts_the_present_one_is_refused(
    process: WitnessProcess, given: Assignment, sentence: str
) -> None:
    process.assign(generation(2))
    with pytest.raises(RefusedError, match=sentence):
        process.assign(given)
    assert areas(process)["north"].node.membership.assignment == generation(2)


def test_an_area_is_joined_once_and_learns_of_the_next_generation_from_its_log(process: WitnessProcess) -> None:
    process.assign(generation(2))
    area = areas(process)["north"]
    process.assign(generation(2))
    process.assign(generation(3, "north", "a", "c", "w"))
    assert areas(process) == {"north": area}
    assert area.readdressed == [generation(2)]


def test_an_area_is_released_with_its_files_and_the_others_stay(
    process: WitnessProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted: list[str] = []
    monkeypatch.setattr(shell, "delete_area", lambda _data, area: deleted.append(area))
    for name in ("north", "south"):
        process.assign(generation(1, name))
    north = areas(process)["north"]
    process.release("north")
    process.release("north")
    assert (areas(process).keys(), north.did, deleted) == ({"south"}, ["closed"], ["north"])


def test_all_areas_are_stopped_before_the_first_is_waited_for(process: WitnessProcess) -> None:
    """Each takes a moment to end, and a witness has many."""
    order: list[str] = []
    for name in ("north", "south"):
        process.assign(generation(1, name))
        areas(process)[name].did = order
    process.close()
    assert order == ["stopped", "stopped", "closed", "closed"]
