"""Commands that experiments are made with: run, started, ended. Every one has a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process

from pairsim.model.parent_death import request_signal_on_parent_death
from pairsim_chaos.target import WorldError

_SECONDS = 20.0


async def run(*command: str) -> str:
    """What it prints.

    Raises:
        WorldError: It failed, or did not end in time.
    """
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    except OSError as error:
        raise WorldError(f"{command[0]} cannot be started: {error.strerror}") from error
    try:
        async with asyncio.timeout(_SECONDS):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise WorldError(f"{' '.join(command)}: no end within {_SECONDS:g} s") from None
    if process.returncode:
        raise WorldError(f"{' '.join(command)}: {errors.decode(errors='replace').strip() or process.returncode}")
    return output.decode(errors="replace")


async def start(*command: str, ready: str) -> Process:
    """A command that goes on, once it has printed the line `ready`; it ends with this process.

    Raises:
        WorldError: It ended before, or did not get so far.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, preexec_fn=_end_with_parent, start_new_session=True
        )
    except OSError as error:
        raise WorldError(f"{command[0]} cannot be started: {error.strerror}") from error
    assert process.stdout is not None and process.stderr is not None  # noqa: PT018, S101 - both were asked for
    try:
        async with asyncio.timeout(_SECONDS):
            line = (await process.stdout.readline()).decode(errors="replace").strip()
            if line == ready:
                return process
            told = line or (await process.stderr.read(2000)).decode(errors="replace").strip()
    except TimeoutError:
        told = "it did not begin in time"
    await end(process)
    raise WorldError(f"{command[0]}: {told}")


async def end(process: Process) -> None:
    """Ends it, in order if it takes that."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5.0):
                await process.wait()
                return


def _end_with_parent() -> None:
    """A fault must not outlive whoever would take it back."""
    request_signal_on_parent_death(signal.SIGTERM)
