"""What a process inherited as ignored or blocked: SIGHUP stays so, and every other stop signal arrives."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from pairsim.system.inherited_signals import accepted_stop_signals, restore_child_reports
from pairsim.system.parent_death import request_signal_on_parent_death
from pairsim_chaos.cli.commands import _cancel_at_signal
from pairsim_chaos.cli.options import RunOptions
from pairsim_controller.cli.up import _StopRequest
from pairsim_controller.story.history import History

STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NUMBERS = (*STOP, signal.SIGUSR1, signal.SIGCHLD)


@pytest.fixture(autouse=True)
def inherited() -> Iterator[None]:
    """Restores the handlers and the mask, which belong to the whole test process."""
    handlers = {number: signal.getsignal(number) for number in NUMBERS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)  # a signal that still waits behind the mask ends here
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def ignore_hangup() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def block_hangup() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def test_all_stop_signals_are_accepted_by_default() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert accepted_stop_signals(STOP) == STOP


@pytest.mark.parametrize("keep_hangup", [ignore_hangup, block_hangup])
async def test_a_world_goes_on_at_a_hangup_that_its_parent_ignored_or_blocked(keep_hangup: object) -> None:
    keep_hangup()  # type: ignore[operator]
    stop = _StopRequest(History())
    signal.raise_signal(signal.SIGHUP)
    await asyncio.sleep(0.01)
    assert not stop.requested.is_set()
    signal.raise_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        await stop.requested.wait()


@pytest.mark.parametrize("keep_hangup", [ignore_hangup, block_hangup])
async def test_an_experiment_goes_on_at_such_a_hangup(keep_hangup: object) -> None:
    keep_hangup()  # type: ignore[operator]

    async def run() -> None:
        _cancel_at_signal(cast("RunOptions", SimpleNamespace(log=lambda _: None)), lambda: False)
        signal.raise_signal(signal.SIGHUP)
        await asyncio.sleep(0.01)
        survived.append(True)
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(10)

    survived: list[bool] = []
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(run())
    assert survived


async def test_blocked_stop_signals_arrive() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    stop = _StopRequest(History())
    signal.raise_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        await stop.requested.wait()


def test_the_exit_code_of_a_child_is_known_though_its_end_was_to_be_ignored() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    restore_child_reports()
    assert subprocess.run([sys.executable, "-S", "-c", "raise SystemExit(3)"], check=False).returncode == 3


def test_the_signal_of_a_parents_death_is_neither_ignored_nor_blocked_in_a_child() -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    kills_itself = "import os, signal; os.kill(os.getpid(), signal.SIGUSR1)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", kills_itself],
        preexec_fn=lambda: request_signal_on_parent_death(signal.SIGUSR1),
        check=False,
    )
    assert done.returncode == -signal.SIGUSR1
