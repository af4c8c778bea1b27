"""The digest of a state has all of its parts, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from pairsim.model.borders import Acknowledgement, Answer, AnswerKind, BorderLimits, BorderState, ForwardedAnswer
from pairsim.model.borders.answers import command_key
from tests.unit.model.borders.examples import TestedArea, command, row_of_cells

ONE = np.array([1])


def state() -> BorderState:
    """Returns a state in which every part has something."""
    area = TestedArea(1, limits=BorderLimits(transfers=1))
    area.put(5, 6, 7, x=15.0)
    area.run()
    found = area.state
    found.held, found.ahead = found.held.put(ONE, 3), found.ahead.put(ONE, 9)
    found.link(2).note(Acknowledgement(1, 4, 1), 5)
    found.answers.put(command_key("c1"), Answer(AnswerKind.APPLIED, 1, 5))
    found.send(3, ForwardedAnswer(command_key("c1"), Answer(AnswerKind.APPLIED, 1, 5)))
    return found


def set_counter(name: str) -> Callable[[BorderState], None]:
    return lambda s: setattr(s.counters, name, 77)


CHANGES: dict[str, Callable[[BorderState], object]] = {
    "number": lambda s: setattr(s, "number", 2),
    "clock": lambda s: setattr(s, "clock", 77),
    "map": lambda s: setattr(s, "map", row_of_cells(2)),
    "cells": lambda s: setattr(s, "map", row_of_cells(1, (0.0, 9.0, 20.0, 30.0))),
    **{name: set_counter(name) for name in ("born", "died", "sent", "taken", "conflicts", "nowhere")},
    "ahead": lambda s: setattr(s, "ahead", s.ahead.put(ONE, 10)),
    "held": lambda s: setattr(s, "held", s.held.put(ONE, 10)),
    "queue": lambda s: setattr(s, "queue", s.queue[::-1].copy()),
    "a new link": lambda s: s.link(9),
    "taken": lambda s: setattr(s.link(2), "taken", 1),
    "waiting": lambda s: setattr(s.link(2), "waiting", ()),
    "acknowledged": lambda s: s.link(2).drop(1),
    "sent": lambda s: s.send(2, ForwardedAnswer(command_key("c1"), Answer(AnswerKind.APPLIED, 1, 5))),
    "an answer": lambda s: s.answers.put(command_key("c1"), Answer(AnswerKind.APPLIED, 2, 5)),
    "departures": lambda s: setattr(s, "departures", s.departures.add(99, ONE, np.array([2], np.int32))),
}


@pytest.mark.parametrize("part", CHANGES)
def test_a_change_of_a_part_changes_the_digest(part: str) -> None:
    first, second = state(), state()
    assert first.digest() == second.digest()
    CHANGES[part](second)
    assert first.digest() != second.digest()


BUNDLE_CHANGES: dict[str, Callable[[TestedArea], object]] = {
    "a component": lambda a: a.table.column("health").__setitem__(0, 3),
    "a position": lambda a: a.move(1, 15.5),
    "a group": lambda a: a.table.column("parent").__setitem__(1, 0),
    "the version": lambda a: setattr(a.state, "map", msgspec.structs.replace(a.state.map, version=2)),
    "a command": lambda a: a.state.answers.put(command_key("c1"), Answer(AnswerKind.APPLIED, 2, 1)),
    "an entity": lambda a: a.put(3, x=15.0),
}


@pytest.mark.parametrize("part", BUNDLE_CHANGES)
def test_a_change_of_a_message_changes_its_digest(part: str) -> None:
    digests = []
    for change in (lambda _: None, BUNDLE_CHANGES[part]):
        area = TestedArea(1)
        area.put(1, x=15.0)
        area.put(2, x=15.0, parent=1)
        area.state.answers.put(command_key(command(1).command.id), Answer(AnswerKind.APPLIED, 1, 1))
        change(area)
        area.run()
        digests.append(area.state.link(2).outbox[1].digest)
    assert digests[0] != digests[1]


def test_limits_are_not_part_of_the_digest() -> None:
    assert BorderState(1, limits=BorderLimits(waiting=9)).digest() == BorderState(1).digest()
