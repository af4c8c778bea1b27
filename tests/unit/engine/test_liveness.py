"""The word that shows whether an engine lives, owned by a thread of this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from pairsim.engine import liveness
from pairsim.engine.descriptors import HEADER_BYTES
from pairsim.engine.liveness import LifeWord
from pairsim.engine.memory_file import make_file


@pytest.fixture
def words() -> Iterator[tuple[LifeWord, LifeWord]]:
    """The word as the node and as the engine see it."""
    fd = make_file("word", HEADER_BYTES)
    node, engine = LifeWord(fd), LifeWord(fd)
    os.close(fd)
    yield node, engine
    node.close()


class Owner:
    """A thread that owns a word until it is ended."""

    def __init__(self, word: LifeWord) -> None:
        self._end = threading.Event()
        self.owns: bool | None = None
        begun = threading.Event()

        def run() -> None:
            self.owns = word.own()
            begun.set()
            self._end.wait()

        self._thread = threading.Thread(target=run)
        self._thread.start()
        begun.wait()

    def end(self) -> None:
        self._end.set()
        self._thread.join()


def test_the_end_of_the_owner_is_seen(words: tuple[LifeWord, LifeWord]) -> None:
    node, engine = words
    assert not node.owned
    owner = Owner(engine)
    assert owner.owns
    assert node.owned
    assert not node.wait_for_end(0.01)
    seen: list[bool] = []
    waiting = threading.Thread(target=lambda: seen.append(node.wait_for_end(30)))
    waiting.start()
    owner.end()
    waiting.join()
    assert seen == [True]
    assert node.wait_for_end(30)


def test_a_machine_without_robust_futexes_has_no_owner(
    words: tuple[LifeWord, LifeWord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "_NUMBERS", {})
    fd = make_file("word", HEADER_BYTES)
    word = LifeWord(fd)
    os.close(fd)
    owner = Owner(word)
    owner.end()
    assert not owner.owns
    assert not word.owned
    word.close()
