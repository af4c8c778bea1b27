"""Leader election: the controller that holds the Lease works, the others wait.

Clocks of two machines are never compared. A waiting controller takes a lease that did not change for its whole duration
by the waiting controller's own monotonic clock. The holder stops earlier than that by its own clock. So at no moment
two controllers work, as long as their clocks run at about the same speed (client-go's `leaderelection` makes the same
assumption).

Invariant (a property test): `holds` is true for at most one controller.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import msgspec
import structlog

from pairsim_controller.kube.api.objects import Object
from pairsim_controller.kube.api.port import ApiError, Body, ChangedError, Resource
from pairsim_controller.kube.api.writes import LEASES
from pairsim_controller.timestamps import micro_time

log = structlog.get_logger()

_NEVER = float("-inf")


class LeaseSpec(msgspec.Struct, frozen=True, rename="camel"):
    """The fields of a lease's spec that the election reads."""

    holder_identity: str = ""
    lease_duration_seconds: int = 0
    lease_transitions: int = 0
    acquire_time: str = ""


class LeaseObject(Object, frozen=True, kw_only=True):
    """A `Lease` of the API group coordination.k8s.io."""

    spec: LeaseSpec = LeaseSpec()


class ObservedLease(msgspec.Struct, frozen=True):
    """A lease, and when it was last seen to change.

    Attributes:
        version: Its `resourceVersion`.
        holder: The holder's identity; empty after a release.
        duration: Seconds after which a lease that was not renewed may be taken.
        transitions: How often the holder changed.
        acquired: When the holder acquired it, as text.
        since: When this version was first seen, in seconds of the observer's monotonic clock.
    """

    version: str
    holder: str
    duration: float
    transitions: int
    acquired: str
    since: float


def may_take(observed: ObservedLease | None, identity: str, now: float) -> bool:
    """Returns whether `identity` may write itself into the lease.

    That is so when the lease does not exist, has no holder, is held by `identity`, or did not change for its duration.
    """
    if observed is None or not observed.holder or observed.holder == identity:
        return True
    return now >= observed.since + observed.duration


class LeaseApi(Protocol):
    """The requests that the election makes; `KubeApi` implements them."""

    async def get(self, resource: Resource, name: str) -> Body | None:
        """Returns an object; None if it does not exist."""

    async def create(self, resource: Resource, body: Body) -> Body:
        """Creates an object and returns it. Raises ChangedError if it exists."""

    async def replace(self, resource: Resource, body: Body) -> Body:
        """Replaces the version in the body's `resourceVersion`. Raises ChangedError if the object has another one."""


class Lease:
    """One controller's part in the election."""

    def __init__(
        self,
        api: LeaseApi,
        name: str,
        identity: str,
        *,
        duration: float = 10.0,
        retry_period: float = 3.0,
        renew_deadline: float = 7.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes part in the election for the lease `name`.

        Args:
            api: The API server.
            name: The name of the Lease object.
            identity: This controller's name, which no other controller has.
            duration: Seconds after which others may take a lease that was not renewed.
            retry_period: Seconds between renewals.
            renew_deadline: Seconds after the *beginning* of the last renewal until which the lease is held.
            clock: The monotonic clock.

        Raises:
            ValueError: The times are not in increasing order.
        """
        if not retry_period < renew_deadline < duration:
            raise ValueError("a lease needs retry_period < renew_deadline < duration")
        self._api, self._name, self._identity, self._clock = api, name, identity, clock
        self._duration, self._retry_period, self._renew_deadline = duration, retry_period, renew_deadline
        self._poll_seconds = duration / 2
        self._observed: ObservedLease | None = None
        self._held_until = _NEVER
        self._current = False
        """Whether `_observed` is this controller's last write: then a renewal need not read the lease first."""

    def holds(self) -> bool:
        """Returns whether this controller may work now."""
        return self._clock() < self._held_until

    async def acquire(self) -> None:
        """Returns as soon as this controller holds the lease."""
        while not await self._try():  # noqa: ASYNC110 - the event happens on another machine
            await asyncio.sleep(self._poll_seconds)
        log.info("acquired lease", lease=self._name, identity=self._identity)

    async def renew_until_lost(self) -> None:
        """Renews the lease; returns when it is lost."""
        while self.holds():
            await asyncio.sleep(min(self._retry_period, max(self._held_until - self._clock(), 0.0)))
            await self._try()
        log.error("lost lease", lease=self._name, identity=self._identity)

    async def release(self) -> None:
        """Writes an empty holder, so that another controller takes the lease at once.

        Call this after the last write of this controller has ended.
        """
        held, self._held_until = self.holds(), _NEVER
        if held and self._observed is not None:
            try:
                await self._write(self._observed, holder="")
            except ApiError as error:
                log.info("release failed: the lease expires by itself", reason=str(error))

    async def _try(self) -> bool:
        """Renews or takes the lease if that is allowed; returns whether this controller holds it."""
        began = self._clock()
        try:
            async with asyncio.timeout(self._renew_deadline):
                if not (self.holds() and self._current):
                    self._observe(await self._api.get(LEASES, self._name))
                if not may_take(self._observed, self._identity, self._clock()):
                    if self._observed is not None and self._observed.holder != self._identity:
                        self._held_until = _NEVER
                    return False
                self._current = False
                await self._write(self._observed, holder=self._identity)
                self._current = True
        except ChangedError:
            return self.holds()  # another controller wrote in between: the next read shows its identity
        except (ApiError, TimeoutError) as error:
            log.warning("lease renewal failed", lease=self._name, reason=str(error) or "no answer")
            return self.holds()
        # Other controllers count from when they see the renewal, which is later than its beginning.
        self._held_until = began + self._renew_deadline
        return True

    def _observe(self, body: Body | None) -> None:
        """Takes in the lease as the API server has it; None if it does not exist."""
        if body is None:
            self._observed = None
            return
        try:
            found = msgspec.convert(body, LeaseObject)
        except msgspec.ValidationError as error:
            raise ApiError(f"the lease {self._name} cannot be read: {error}") from error
        before, spec = self._observed, found.spec
        if before is None or before.version != found.metadata.resource_version:
            self._observed = ObservedLease(
                version=found.metadata.resource_version,
                holder=spec.holder_identity,
                duration=float(spec.lease_duration_seconds),
                transitions=spec.lease_transitions,
                acquired=spec.acquire_time,
                since=self._clock(),
            )

    async def _write(self, before: ObservedLease | None, *, holder: str) -> None:
        wall = micro_time(time.time())
        changes = holder != "" and (before is None or before.holder != holder)
        spec: Body = {
            "holderIdentity": holder,
            "leaseDurationSeconds": max(1, round(self._duration)) if holder else 1,
            "leaseTransitions": (before.transitions if before else 0) + changes,
            "acquireTime": wall if changes or before is None or not before.acquired else before.acquired,
            "renewTime": wall,
        }
        if before is None:
            self._observe(await self._api.create(LEASES, {"metadata": {"name": self._name}, "spec": spec}))
        else:
            metadata: Body = {"name": self._name, "resourceVersion": before.version}
            self._observe(await self._api.replace(LEASES, {"metadata": metadata, "spec": spec}))
