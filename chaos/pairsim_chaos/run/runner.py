"""Runs experiments, one after the other, and gives each a verdict.

The order of every run: the world is whole; the probe begins; the fault is made, lasts, and is taken back, whatever
happens meanwhile; the world becomes whole again, or does not in time; what was acknowledged is compared with what is
there.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import msgspec

from pairsim_chaos.experiment.experiment import Experiment, Http
from pairsim_chaos.probe.probe import Probe, missing
from pairsim_chaos.run.cleanup import to_its_end, undone
from pairsim_chaos.run.status_check import ask
from pairsim_chaos.target import RefusedFaultError, World, WorldError
from pairsim_chaos.verdict.checks import Verdict, checks, takeovers

_LOOK = 0.1
_VERDICT = "/verdict"


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds.

    Attributes:
        lead: Of calm before a fault, for comparison.
        whole: How long a world may take to become whole, before the first fault and after each.
        settle: How long it has to be whole afterwards; shorter than a loss takes to be seen, it proves little.
        injection: How long a fault may take beyond its own duration.
    """

    lead: float = 2.0
    whole: float = 60.0
    settle: float = 2.0
    injection: float = 90.0


class Runner:
    """Of one world."""

    def __init__(self, world: World, *, pace: Pace, tell: Callable[[str], None]) -> None:
        """`tell` is told what happens, in sentences."""
        self._world, self._pace, self._tell = world, pace, tell
        self._probe: Probe | None = None

    async def run(self, experiment: Experiment, file: Path) -> Verdict:
        """Never raises because of the world: what went wrong is in the verdict."""
        name = experiment.name or f"{file.stem} (line {experiment.line})"
        verdict = Verdict(experiment=name, file=str(file))
        try:
            reason = await self._world.refusal(experiment)
            if reason:
                return msgspec.structs.replace(verdict, refused=reason)
            await self._until_whole()
            return await self._probed(experiment, verdict)
        except RefusedFaultError as error:
            return msgspec.structs.replace(verdict, refused=str(error))
        except WorldError as error:
            return msgspec.structs.replace(verdict, failed=str(error))

    async def _asked(self, http: Http, seconds: float) -> int:
        """Answers a `StatusCheck`: one for a verdict is answered by the probe that runs."""
        if http.url.partition("?")[0].endswith(_VERDICT):
            if self._probe is None:
                return 503
            return 503 if self._probe.broken() else 200
        return await ask(http, seconds)

    async def _probed(self, experiment: Experiment, verdict: Verdict) -> Verdict:
        loop = asyncio.get_running_loop()
        began, failed = loop.time(), ""
        targets: tuple[str, ...] = ()
        async with Probe(self._world) as probe:
            self._probe = probe
            try:
                await asyncio.sleep(self._pace.lead)
                try:
                    targets = await self._hurt(experiment)
                except RefusedFaultError:
                    raise
                except WorldError as error:
                    failed = str(error)
                    self._tell(f"{verdict.experiment}: {failed}")
                    if _ended():
                        raise asyncio.CancelledError from error
                not_whole = await self._whole_again(probe)
                found = await probe.conclude()
            finally:
                self._probe = None
        return msgspec.structs.replace(
            verdict,
            made=True,
            failed=failed,
            targets=targets,
            seconds=loop.time() - began,
            checks=checks(found, not_whole),
            availability=min((one.availability for one in found), default=0.0),
            longest=max((one.longest for one in found), default=0.0),
            redundant_after=max(0.0, probe.whole_at - probe.lost_at) if probe.lost_at else 0.0,
            takeovers=takeovers(found),
        )

    async def _hurt(self, experiment: Experiment) -> tuple[str, ...]:
        """Makes the fault, waits for its end, and takes it back; the processes that it was made to."""
        try:
            async with asyncio.timeout(self._pace.injection):
                injection = await self._world.inject(experiment, self._asked)
        except TimeoutError:
            raise WorldError(f"it could not be made within {self._pace.injection:g} s") from None
        try:
            self._tell(f"{experiment.name}: made to {', '.join(injection.targets) or 'the world'}")
            await injection.over()
        except BaseException as error:
            await undone(injection.recover(), error)
            raise
        await to_its_end(injection.recover())
        return injection.targets

    async def _until_whole(self) -> None:
        """Before a fault: nobody hurts a world that is not well."""
        reason = "no look was taken"
        deadline = asyncio.get_running_loop().time() + self._pace.whole
        while asyncio.get_running_loop().time() < deadline:
            try:
                scene = await self._world.look()
            except WorldError as error:
                reason = str(error)
            else:
                reason = missing(scene) or ("" if scene.places else "the world has no areas")
            if not reason:
                return
            await asyncio.sleep(_LOOK)
        raise WorldError(f"the world was not whole before it, so it was not made: {reason}")

    async def _whole_again(self, probe: Probe) -> str:
        """After a fault; why it is not whole for good in time, empty if it is.

        Whole for a moment proves nothing: whoever looks after the world may not have seen the loss yet.
        """
        now = asyncio.get_running_loop().time
        deadline, since, reason = now() + self._pace.whole + self._pace.settle, now(), ""
        while now() < deadline:
            await probe.refresh()
            if probe.missing:
                since, reason = now(), probe.missing
            elif now() - since >= self._pace.settle:
                return ""
            await asyncio.sleep(_LOOK)
        return f"not within {self._pace.whole:g} s: {reason}"


def _ended() -> bool:
    """Whether the run was told to end while something else failed."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def seed_or_new(seed: int | None) -> int:
    """The seed that was given, or one that can be given again."""
    return seed if seed is not None else random.SystemRandom().randrange(2**32)
