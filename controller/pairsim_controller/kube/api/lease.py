"""Which of several controllers works: the one that holds the Lease.

The clocks of two machines are never compared: a holder counts as gone when its lease did not change for its whole
duration by the watcher's own clock. The holder gives up earlier than that by its own clock, so that there is no moment
at which both work, as long as clocks run at about the same speed (client-go's `leaderelection` says the same).

Invariant (a property test): never two that `holds`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import msgspec
import structlog

from pairsim_controller.kube.api.objects import stamp
from pairsim_controller.kube.api.port import ApiError, Body, ChangedError, Resource
from pairsim_controller.kube.api.writes import LEASES

log = structlog.get_logger()


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    resource_version: str = ""


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    holder_identity: str = ""
    lease_duration_seconds: int = 0
    lease_transitions: int = 0
    acquire_time: str = ""


class _Lease(msgspec.Struct, frozen=True):
    metadata: _Meta
    spec: _Spec = _Spec()


class Observed(msgspec.Struct, frozen=True):
    """A lease as it was last seen to change, by the own monotonic clock."""

    version: str
    holder: str
    duration: float
    transitions: int
    acquired: str
    since: float


def may_take(observed: Observed | None, identity: str, now: float) -> bool:
    """Whether the lease is nobody's, one's own, or its holder's silence has lasted for its duration."""
    if observed is None or not observed.holder or observed.holder == identity:
        return True
    return now >= observed.since + observed.duration


class LeaseApi(Protocol):
    """What a lease needs: see `KubeApi`."""

    async def get(self, resource: Resource, name: str) -> Body | None:
        """An object."""

    async def create(self, resource: Resource, body: Body) -> Body:
        """Makes one."""

    async def replace(self, resource: Resource, body: Body) -> Body:
        """Changes one."""


class Lease:
    """One candidate."""

    def __init__(
        self,
        api: LeaseApi,
        name: str,
        identity: str,
        *,
        duration: float = 10.0,
        renew_every: float = 3.0,
        give_up_after: float = 7.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A candidate for the lease `name`.

        Args:
            api: The API server.
            name: The lease's.
            identity: Of this candidate; nobody else's.
            duration: Seconds after which others may take a lease that was not renewed.
            renew_every: Seconds between renewals.
            give_up_after: Seconds after the last renewal *was begun* from which it is not held any more.
            clock: Monotonic.
        """
        if not renew_every < give_up_after < duration:
            raise ValueError("a lease needs renew_every < give_up_after < duration")
        self._api, self._name, self._identity, self._clock = api, name, identity, clock
        self._duration, self._renew_every, self._give_up_after = duration, renew_every, give_up_after
        self._look_every = duration / 2
        self._observed: Observed | None = None
        self._held_until = float("-inf")
        self._sure = False
        """Whether what was observed is what was written last: then a renewal needs no look first."""

    def holds(self) -> bool:
        """Whether this candidate may work now."""
        return self._clock() < self._held_until

    async def acquire(self) -> None:
        """Waits until it is held."""
        while not await self._try():  # noqa: ASYNC110 - what is waited for happens on another machine
            await asyncio.sleep(self._look_every)
        log.info("holds the lease", lease=self._name, identity=self._identity)

    async def keep(self) -> None:
        """Renews it, as long as that works; returns when it is lost."""
        while self.holds():
            await asyncio.sleep(min(self._renew_every, max(self._held_until - self._clock(), 0.0)))
            await self._try()
        log.error("the lease is lost", lease=self._name, identity=self._identity)

    async def release(self) -> None:
        """Lets the other one take it at once. Call when nothing is being written any more."""
        held, self._held_until = self.holds(), float("-inf")
        if held and self._observed is not None:
            try:
                await self._write(self._observed, holder="")
            except ApiError as error:
                log.info("the lease runs out by itself", reason=str(error))

    async def _try(self) -> bool:
        """One look, and a renewal or a taking if it may be; whether it is held."""
        began = self._clock()
        try:
            async with asyncio.timeout(self._give_up_after):
                if not (self.holds() and self._sure):
                    await self._look()
                if not may_take(self._observed, self._identity, self._clock()):
                    if self._observed is not None and self._observed.holder != self._identity:
                        self._held_until = float("-inf")
                    return False
                self._sure = False
                await self._write(self._observed, holder=self._identity)
                self._sure = True
        except ChangedError:
            return self.holds()  # somebody wrote in between: the next look says who
        except (ApiError, TimeoutError) as error:
            log.warning("the lease cannot be renewed", lease=self._name, reason=str(error) or "no answer")
            return self.holds()
        # Others count from when they see the renewal, which is later than this.
        self._held_until = began + self._give_up_after
        return True

    async def _look(self) -> None:
        body = await self._api.get(LEASES, self._name)
        self._see(body)

    def _see(self, body: Body | None) -> None:
        if body is None:
            self._observed = None
            return
        try:
            found = msgspec.convert(body, _Lease)
        except msgspec.ValidationError as error:
            raise ApiError(f"the lease {self._name} cannot be read: {error}") from error
        before, spec = self._observed, found.spec
        if before is None or before.version != found.metadata.resource_version:
            self._observed = Observed(
                version=found.metadata.resource_version,
                holder=spec.holder_identity,
                duration=float(spec.lease_duration_seconds),
                transitions=spec.lease_transitions,
                acquired=spec.acquire_time,
                since=self._clock(),
            )

    async def _write(self, before: Observed | None, *, holder: str) -> None:
        wall = stamp(time.time()).removesuffix("Z") + "000Z"
        changes = holder != "" and (before is None or before.holder != holder)
        spec: Body = {
            "holderIdentity": holder,
            "leaseDurationSeconds": max(1, round(self._duration)) if holder else 1,
            "leaseTransitions": (before.transitions if before else 0) + changes,
            "acquireTime": wall if changes or before is None or not before.acquired else before.acquired,
            "renewTime": wall,
        }
        if before is None:
            self._see(await self._api.create(LEASES, {"metadata": {"name": self._name}, "spec": spec}))
        else:
            metadata: Body = {"name": self._name, "resourceVersion": before.version}
            self._see(await self._api.replace(LEASES, {"metadata": metadata, "spec": spec}))
