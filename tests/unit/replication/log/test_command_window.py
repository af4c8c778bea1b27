"""Which command ids an area remembers, and how the window is packed for a snapshot."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairsim.replication.log.command_window import MAX_REASON_CHARACTERS, CommandWindow, KnownCommand, WindowError

_ids = st.integers(0, 12).map(str)
_steps = st.lists(st.tuples(st.sampled_from(["add", "reject"]), _ids, st.integers(0, 2**40)), max_size=60)


def _run(window: CommandWindow, steps: list[tuple[str, str, int]]) -> None:
    for kind, command_id, number in steps:
        if kind == "add":
            window.add(command_id, number)
        else:
            window.reject(command_id, f"reason {number}")


def _seen(window: CommandWindow) -> list[KnownCommand | None]:
    return [window.get(str(n)) for n in range(13)]


@given(_steps, st.integers(1, 8))
def test_keeps_the_newest_ids_with_their_first_tick(steps: list[tuple[str, str, int]], limit: int) -> None:
    window, model = CommandWindow(limit), dict[str, tuple[int, str]]()
    _run(window, steps)
    for kind, command_id, number in steps:
        if kind == "add" and command_id not in model:
            model[command_id] = number, ""
            if len(model) > limit:
                del model[next(iter(model))]
        elif kind == "reject" and command_id in model:
            model[command_id] = model[command_id][0], f"reason {number}"
    assert _seen(window) == [KnownCommand(*model[str(n)]) if str(n) in model else None for n in range(13)]
    assert len(window) == len(model) <= limit


@given(_steps, _steps, st.integers(1, 8))
def test_a_dump_gives_another_replica_the_same_window(
    steps: list[tuple[str, str, int]], more: list[tuple[str, str, int]], limit: int
) -> None:
    window, other = CommandWindow(limit), CommandWindow(limit)
    _run(window, steps)
    _run(other, more)  # a dump replaces the content
    other.load(window.dump())
    assert _seen(other) == _seen(window)
    _run(window, more)
    _run(other, more)
    assert other.dump() == window.dump()


def test_the_newest_ids_of_a_larger_dump_are_kept() -> None:
    large, small = CommandWindow(10), CommandWindow(3)
    _run(large, [("add", str(n), n) for n in range(10)] + [("reject", "0", 0), ("reject", "9", 0)])
    small.load(large.dump())
    assert [n for n in range(10) if small.get(str(n))] == [7, 8, 9]
    assert small.get("9") == KnownCommand(9, "reason 0")


def test_a_reason_is_cut_at_its_limit() -> None:
    window = CommandWindow()
    window.add("a", 1)
    window.reject("a", "x" * 10_000)
    assert window.get("a") == KnownCommand(1, "x" * MAX_REASON_CHARACTERS)


def test_long_ids_are_distinguished() -> None:
    window = CommandWindow()
    window.add("x" * 64, 1)
    assert window.get("x" * 63) is None
    assert window.get("x" * 64) == KnownCommand(1)


@pytest.mark.parametrize(
    "dump",
    [
        b"",
        b"\xc1",
        b"\x91" * 100_000,
        b"\x93\xa1x\x90\x91\x92\xc4\x01x\xa1\x80",
        msgspec.msgpack.encode([bytes(16), [1]]),
        msgspec.msgpack.encode([bytes(15), [1], []]),
        msgspec.msgpack.encode([bytes(16), [1, 2], []]),
        msgspec.msgpack.encode([bytes(32), [1, 2], []]),
        msgspec.msgpack.encode([bytes(16), [1], [[b"of another", "reason"]]]),
        msgspec.msgpack.encode([bytes(16), ["tick"], []]),
    ],
)
def test_refuses_bytes_that_are_not_a_dump_and_stays_unchanged(dump: bytes) -> None:
    window = CommandWindow()
    window.add("a", 1)
    with pytest.raises(WindowError, match="not a window of commands"):
        window.load(dump)
    assert window.get("a") == KnownCommand(1)
    assert len(window) == 1


def test_equal_windows_dump_equal_bytes() -> None:
    one, other = CommandWindow(), CommandWindow()
    ids = [str(n) for n in range(20)]
    for window, rejected in ((one, ids), (other, ids[::-1])):
        for command_id in ids:
            window.add(command_id, 1)
        for command_id in rejected:
            window.reject(command_id, "no such entity")
    assert one.dump() == other.dump()


def test_an_id_that_is_read_or_added_again_stays_as_old_as_it_is() -> None:
    """Replicas are asked for different ids, and all of them must forget the same ones."""
    asked, other = CommandWindow(3), CommandWindow(3)
    for window in (asked, other):
        _run(window, [("add", "a", 1), ("add", "b", 2), ("add", "c", 3)])
    assert asked.get("a") == KnownCommand(1)
    asked.add("a", 9)
    for window in (asked, other):
        window.add("d", 4)
    assert asked.get("a") is None
    assert asked.dump() == other.dump()


def test_the_reason_of_a_forgotten_id_is_forgotten() -> None:
    window = CommandWindow(1)
    _run(window, [("add", "a", 1), ("reject", "a", 0), ("add", "b", 2), ("add", "a", 3)])
    assert window.get("a") == KnownCommand(3)
