"""Runs experiments one after the other and gives each a verdict.

Every run has the same steps:

1. Wait until the world is healthy: all of its areas are redundant.
2. Start the probe, and let it observe the undisturbed world.
3. Inject the fault, wait until it ends, and remove it, whatever else happens.
4. Wait until the world has recovered, or the recovery timeout has passed.
5. Compare the state with the acknowledged commands.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from pairsim.wording import duration
from pairsim_chaos.experiment.model import Experiment, HttpCheck
from pairsim_chaos.probe.probe import Probe, redundancy_gap
from pairsim_chaos.run.cleanup import roll_back, run_to_completion
from pairsim_chaos.run.status_check import request_status
from pairsim_chaos.target import Target, UnsupportedFaultError, WorldError
from pairsim_chaos.verdict.checks import Verdict, checks, takeovers
from pairsim_chaos.verdict.notes import notes

_POLL_SECONDS = 0.1
_VERDICT_PATH = "/verdict"


class RunTiming(msgspec.Struct, frozen=True, kw_only=True):
    """The times of a run, all in seconds.

    Attributes:
        warm_up: How long the undisturbed world is observed before a fault, for comparison.
        recovery_timeout: How long the world may take to become healthy, before the first fault and after each fault.
        settle: How long the world has to stay healthy afterwards. A time shorter than the detection of a loss would
            prove little.
        injection_timeout: How long the injection of a fault may take.
    """

    warm_up: float = 2.0
    recovery_timeout: float = 60.0
    settle: float = 2.0
    injection_timeout: float = 90.0


class Runner:
    """Runs experiments against one target.

    Attributes:
        injecting: Whether a fault is being injected, is in place, or is being removed.
    """

    def __init__(self, target: Target, *, timing: RunTiming, log: Callable[[str], None]) -> None:
        """Creates a runner that passes a sentence to `log` at every step."""
        self._target, self._timing, self._log = target, timing, log
        self._probe: Probe | None = None
        self.injecting = False

    async def run(self, experiment: Experiment, file: Path) -> Verdict:
        """Runs an experiment; the verdict holds the errors of the world, which are never raised."""
        verdict = Verdict(experiment=title(experiment, file), file=str(file))
        try:
            reason = await self._target.unsupported_reason(experiment)
            if reason:
                return msgspec.structs.replace(verdict, refused=reason)
            await self._await_healthy()
            return await self._probed(experiment, verdict)
        except UnsupportedFaultError as error:
            return msgspec.structs.replace(verdict, refused=str(error))
        except WorldError as error:
            return msgspec.structs.replace(verdict, failed=str(error))

    async def _handle_status_check(self, http: HttpCheck, seconds: float) -> int:
        """Performs a status check; the running probe answers the checks that ask for a verdict."""
        if http.url.partition("?")[0].endswith(_VERDICT_PATH):
            if self._probe is None:
                return 503
            return 503 if self._probe.current_violation() else 200
        return await request_status(http, seconds)

    async def _probed(self, experiment: Experiment, verdict: Verdict) -> Verdict:
        loop = asyncio.get_running_loop()
        began, failed = loop.time(), ""
        targets: tuple[str, ...] = ()
        async with self._run_probe() as probe:
            self._probe = probe
            try:
                await asyncio.sleep(self._timing.warm_up)
                try:
                    targets = await self._inject(experiment, verdict.experiment)
                except UnsupportedFaultError:
                    raise
                except WorldError as error:
                    failed = str(error)
                    self._log(f"{verdict.experiment}: {failed}")
                    if _cancelled():
                        raise asyncio.CancelledError from error
                not_recovered = await self._await_recovery(probe)
                found = await probe.conclude()
            finally:
                self._probe = None
        return msgspec.structs.replace(
            verdict,
            made=True,
            failed=failed,
            targets=targets,
            seconds=loop.time() - began,
            checks=checks(found, not_recovered),
            availability=min((one.availability for one in found), default=0.0),
            longest=max((one.longest_pause for one in found), default=0.0),
            redundant_after=max(0.0, probe.redundant_at - probe.lost_at) if probe.lost_at else 0.0,
            takeovers=takeovers(found),
            notes=notes(experiment.spec, found),
        )

    @asynccontextmanager
    async def _run_probe(self) -> AsyncIterator[Probe]:
        """Runs a probe; a sentence in the log says when entities of it may remain in the world."""
        probe = Probe(self._target)
        try:
            async with probe:
                yield probe
        finally:
            for sentence in probe.remains:
                self._log(sentence)

    async def _inject(self, experiment: Experiment, name: str) -> tuple[str, ...]:
        """Injects the fault, waits for its end, and removes it; returns the processes that it was injected into."""
        self.injecting = True
        try:
            return await self._inject_and_remove(experiment, name)
        finally:
            self.injecting = False

    async def _inject_and_remove(self, experiment: Experiment, name: str) -> tuple[str, ...]:
        try:
            async with asyncio.timeout(self._timing.injection_timeout):
                injection = await self._target.inject(experiment, self._handle_status_check)
        except TimeoutError:
            seconds = self._timing.injection_timeout
            raise WorldError(f"the fault could not be injected within {duration(seconds)}") from None
        try:
            if self._probe is not None:
                self._probe.on_fault()
            targets = ", ".join(injection.targets)  # those of a workflow are chosen later
            self._log(f"{name}: injected into {targets}" if targets else f"{name}: started")
            await injection.wait()
        except BaseException as error:
            await roll_back(injection.recover(), error)
            raise
        await run_to_completion(injection.recover())
        return injection.targets

    async def _await_healthy(self) -> None:
        """Waits until the world is healthy, because a fault proves nothing in a world that is already degraded."""
        reason = "the world was not observed before it"
        deadline = asyncio.get_running_loop().time() + self._timing.recovery_timeout
        while asyncio.get_running_loop().time() < deadline:
            try:
                snapshot = await self._target.snapshot()
            except WorldError as error:
                reason = f"the world could not be observed before it: {error}"
            else:
                gap = redundancy_gap(snapshot)
                if snapshot.areas and not gap:
                    return
                reason = f"the world was not redundant before it: {gap}" if gap else "the world has no areas"
            await asyncio.sleep(_POLL_SECONDS)
        raise WorldError(f"the fault was not injected because {reason}")

    async def _await_recovery(self, probe: Probe) -> str:
        """Waits until the world has recovered; returns why it has not recovered in time, else an empty string.

        A single healthy observation proves nothing, because the controller may not have detected the loss yet.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + self._timing.recovery_timeout + self._timing.settle
        since, reason, unknown = now(), "", ""
        while now() < deadline:
            unknown = await probe.refresh()
            if unknown or probe.redundancy_gap:
                since, reason = now(), unknown or probe.redundancy_gap
            elif now() - since >= self._timing.settle:
                return ""
            await asyncio.sleep(_POLL_SECONDS)
        within = f"within {duration(self._timing.recovery_timeout)}"
        if unknown:
            return f"it is unknown whether the world was redundant {within}: {unknown}"
        return f"the world was not redundant for {duration(self._timing.settle)} {within}: {reason}"


def title(experiment: Experiment, file: Path) -> str:
    """Returns the name of an experiment for reports; an experiment without a name gets that of its file."""
    return experiment.name or f"{file.stem} (line {experiment.line})"


def _cancelled() -> bool:
    """Returns whether the run was cancelled while another error was handled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def seed_or_new(seed: int | None) -> int:
    """Returns the given seed, or a new random seed that a user can pass again."""
    return seed if seed is not None else random.SystemRandom().randrange(2**32)
