"""Runs and ends the commands that inject faults; every call has a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process

from pairsim.system.parent_death import request_signal_on_parent_death
from pairsim.wording import duration
from pairsim_chaos.target import WorldError

_TIMEOUT_SECONDS = 20.0
_TERMINATION_SECONDS = 5.0


async def run(*command: str) -> str:
    """Runs a command and returns its output.

    Raises:
        WorldError: The command failed, or did not end in time.
    """
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    except OSError as error:
        raise WorldError(f"{command[0]} cannot be started: {error.strerror}") from error
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise WorldError(f"{' '.join(command)}: did not end within {duration(_TIMEOUT_SECONDS)}") from None
    if process.returncode:
        raise WorldError(f"{' '.join(command)}: {errors.decode(errors='replace').strip() or process.returncode}")
    return output.decode(errors="replace")


async def start(*command: str, ready: str) -> Process:
    """Starts a command and returns once it has printed the line `ready`; the command ends with this process.

    Raises:
        WorldError: The command ended before, or did not become ready in time.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, preexec_fn=_end_with_parent, start_new_session=True
        )
    except OSError as error:
        raise WorldError(f"{command[0]} cannot be started: {error.strerror}") from error
    assert process.stdout is not None and process.stderr is not None  # noqa: PT018, S101 - both pipes were requested
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            line = (await process.stdout.readline()).decode(errors="replace").strip()
            if line == ready:
                return process
            reason = line or (await process.stderr.read(2000)).decode(errors="replace").strip()
    except TimeoutError:
        reason = "did not start in time"
    await end(process)
    raise WorldError(f"{command[0]}: {reason}")


async def end(process: Process) -> None:
    """Ends a process with SIGTERM, and with SIGKILL if it does not end in time."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TERMINATION_SECONDS):
                await process.wait()
                return


def _end_with_parent() -> None:
    """Makes the kernel end this process with its parent, so that a fault never outlives the run that removes it."""
    request_signal_on_parent_death(signal.SIGTERM)
