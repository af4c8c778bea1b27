"""The window of answers keeps the newest ones; copies do not share changes, and another window follows by serials."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.model.borders import answers
from pairsim.model.borders.answers import Answer, AnswerKind, AnswerWindow, CommandMemory, command_key
from pairsim.model.borders.entity_sets import IdSet

KEYS = [command_key(f"c{number}") for number in range(40)]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "CHUNK_SERIALS", 4)


def applied(entity: int, attempt: int = 1) -> Answer:
    return Answer(AnswerKind.APPLIED, attempt, entity)


PUTS = st.lists(st.tuples(st.integers(0, 39), st.integers(1, 3)), max_size=80)


@settings(max_examples=150, deadline=None)
@given(PUTS, PUTS)
def test_another_window_follows_by_the_answers_since_a_serial(
    first: list[tuple[int, int]], more: list[tuple[int, int]]
) -> None:
    window = AnswerWindow(16)
    for key, attempt in first:
        window.put(KEYS[key], applied(key, attempt))
    follower = window.copy()
    serial, before = follower.serial, follower.digest()
    for key, attempt in more:
        window.put(KEYS[key], applied(key, attempt))
    assert (follower.serial, follower.digest()) == (serial, before)
    for key, given_answer in window.since(serial):
        follower.put(key, given_answer.answer, given_answer.serial)
    assert follower.digest() == window.digest()
    assert follower.since(0) == window.since(0)
    assert [follower.get(key) for key in KEYS] == [window.get(key) for key in KEYS]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 39), st.integers(1, 3)), min_size=40, max_size=80))
def test_a_window_has_the_newest_answers(puts: list[tuple[int, int]]) -> None:
    window = AnswerWindow(16)
    known: dict[bytes, tuple[int, Answer]] = {}
    for serial, (key, attempt) in enumerate(puts, 1):
        window.put(KEYS[key], applied(key, attempt))
        known[KEYS[key]] = serial, applied(key, attempt)
        for kept, (at, answer) in known.items():
            if serial - at < 16:
                assert window.get(kept) == answer
            elif serial - at >= 24:
                assert window.get(kept) is None
    assert len(window) <= 24


def test_the_final_answers_about_entities_travel_with_them() -> None:
    window = AnswerWindow(100)
    window.put(KEYS[1], applied(1, 3))
    window.put(KEYS[2], applied(2))
    window.put(KEYS[3], Answer(AnswerKind.REJECTED, 2, 1, 0, "no room"))
    window.put(KEYS[4], Answer(AnswerKind.MOVED, 2, 1, 5))
    window.put(KEYS[5], Answer(AnswerKind.FORWARDED, 2, 1, 5))
    memory = window.memory(IdSet(np.array([1])))
    assert dict(list(memory)) == {KEYS[1]: applied(1, 3), KEYS[3]: Answer(AnswerKind.REJECTED, 2, 1, 0, "no room")}
    assert len(memory) == 2
    assert list(window.memory(IdSet(np.array([1, 2]))).of(IdSet(np.array([2])))) == [(KEYS[2], applied(2))]


def test_the_digest_of_a_memory_has_its_reasons() -> None:
    whole = CommandMemory(KEYS[0], np.array([1]), np.array([1]), {0: "no room"})
    assert whole.digest() != CommandMemory(KEYS[0], np.array([1]), np.array([1]), {}).digest()


def test_a_window_forgets_its_oldest_answers() -> None:
    window = AnswerWindow(16)
    for key in KEYS:
        window.put(key, applied(1))
    assert window.get(KEYS[0]) is None
    assert all(window.get(key) for key in KEYS[-16:])
    assert len(window) <= 24
