"""`EngineChaos` on local processes: engines that hang, end, or raise, while their nodes go on.

Signals go by way of the world, which sends them only to an engine that is still the child of its node. An exception
cannot be put into a simulator from outside, so the area has to have the operation `raise` of
`pairsim_chaos.raising:Raising`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Sequence
from typing import Protocol

import aiohttp
import msgspec

from pairsim.client import new_id
from pairsim_chaos.experiment.faults import EngineFault
from pairsim_chaos.local.selection import TargetProcess
from pairsim_chaos.target import UnsupportedFaultError, WorldError

_TIMEOUT_SECONDS = 20.0
_PROBE_SECONDS = 2.0
_BAD_REQUEST = 400


class _ErrorAnswer(msgspec.Struct):
    error: str = ""


class SignalSender(Protocol):
    """Sends a signal to the engine of a process, if that is still the one with the given process id."""

    def __call__(self, process: str, engine: int, signal: str) -> Awaitable[None]:
        """Sends the signal. Raises WorldError: that engine has ended."""


class EngineInjection:
    """The failures of some engines; implements `ReversibleFault`."""

    def __init__(
        self, fault: EngineFault, targets: Sequence[TargetProcess], duration: float, send_signal: SignalSender
    ) -> None:
        """Creates the injection without an effect; an exception lasts for `duration` seconds."""
        self._fault, self._targets, self._duration, self._send_signal = fault, targets, duration, send_signal
        self._stopped: list[tuple[str, int]] = []
        self._commands: list[asyncio.Task[str]] = []

    async def apply(self) -> None:
        """Lets the engines fail.

        Raises:
            WorldError: A process has no engine.
        """
        if self._fault.action == "raise":
            until = time.time() + self._duration
            self._commands = [asyncio.create_task(refusal(target, until, _TIMEOUT_SECONDS)) for target in self._targets]
            return
        for target in self._targets:
            if target.engine_pid is None:
                raise WorldError(f"{target.process} has no engine")
            if self._fault.action == "hang":
                self._stopped.append((target.process, target.engine_pid))
                await self._send_signal(target.process, target.engine_pid, "SIGSTOP")
            else:
                await self._send_signal(target.process, target.engine_pid, "SIGSEGV")

    def failure_reason(self) -> str:
        """Returns why a command could not make its simulator raise; empty if none was refused."""
        return next(filter(None, (each.result() for each in self._commands if each.done())), "")

    async def revert(self) -> None:
        """Lets stopped engines go on, unless their nodes have killed them, and waits for no command any more."""
        for each in self._commands:
            each.cancel()
        await asyncio.gather(*self._commands, return_exceptions=True)
        for process, engine in self._stopped:
            with contextlib.suppress(WorldError):
                await self._send_signal(process, engine, "SIGCONT")


async def check_raising(processes: Sequence[TargetProcess]) -> None:
    """Checks that the simulators of some processes raise on command, with a command that lets none of them raise.

    Raises:
        UnsupportedFaultError: One of them does not.
    """
    for process in processes:
        if process.area and (reason := await refusal(process, 0.0, _PROBE_SECONDS)):
            raise UnsupportedFaultError(
                f"the simulator of {process.area} does not raise on command ({reason}): put"
                " pairsim_chaos.raising:Raising in front of it"
            )


async def refusal(process: TargetProcess, until: float, seconds: float) -> str:
    """Sends the command at which a simulator raises until a time; returns why it was refused for good.

    Without an answer in time, and after every other answer, the result is empty: the answer has to wait until the tick
    of the command succeeds.
    """
    from pairsim_chaos.raising import OPERATION, UNTIL  # noqa: PLC0415 - it needs the extra of simulators

    command = {"id": new_id(), "op": OPERATION, "entity": 0, "components": {UNTIL: until}}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(seconds)) as http,
            http.post(f"{process.url}/v1/commands", json={"commands": [command]}) as answer,
        ):
            if answer.status == _BAD_REQUEST:
                sentence = msgspec.json.decode(await answer.read(), type=_ErrorAnswer).error
                return sentence.removeprefix(f"command {command['id']}: ")
    except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError):
        pass
    return ""
