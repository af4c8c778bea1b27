"""Experiments that exist in a cluster, for as long as they last: a single fault, or what makes some."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from pairsim_chaos.cluster.chaos_object import GROUP, Created
from pairsim_chaos.cluster.force_delete import by_hand
from pairsim_chaos.cluster.objects import ChaosObject, NodeObject
from pairsim_chaos.cluster.progress import NODES, Progress, collections
from pairsim_chaos.experiment.experiment import Schedule, Workflow
from pairsim_chaos.experiment.faults import Fault, PodFault
from pairsim_chaos.target import WorldError
from pairsim_controller.kube.api.connection import ApiRefusedError, Connection
from pairsim_controller.kube.api.port import ApiError

_INJECTED, _RECOVERED, _GONE = 30.0, 60.0, 60.0
_FLOW_LOOK = 0.5
"""Seconds; the shortest fault of a workflow or a schedule should be there for as long."""
T = TypeVar("T")


class SingleFault:
    """One fault; see `pairsim_chaos.target.Injection`."""

    def __init__(self, created: Created, fault: Fault, longest: float) -> None:
        """It is being created."""
        self._created, self._fault, self._longest = created, fault, longest
        self.targets: tuple[str, ...] = ()

    async def begun(self) -> None:
        """Waits until Chaos Mesh has injected it."""
        self.targets = (await self._created.until("AllInjected", _INJECTED)).targets

    async def over(self) -> None:
        """See `pairsim_chaos.target.Injection`."""
        if isinstance(self._fault, PodFault) and self._fault.once:
            return
        lasting = self._fault.seconds or self._longest
        await asyncio.sleep(min(lasting, self._longest))
        if lasting <= self._longest:
            await self._created.until("AllRecovered", _RECOVERED)
        else:
            await self._still_made()

    async def _still_made(self) -> None:
        """Chaos Mesh counts the duration from the creation: a slow injection may leave little of it."""
        if not (await self._created.now()).has("AllInjected"):
            raise WorldError(
                f"it ended by itself before the {self._longest:g} s of --at-most were over: its duration of "
                f"{self._fault.seconds:g} s began when it was created, and its injection took long"
            )

    async def recover(self) -> None:
        """See `pairsim_chaos.target.Injection`."""
        await self._created.delete()


class MakingFaults:
    """A workflow or a schedule, as an `Injection`. One that did not make its faults has proved nothing."""

    def __init__(
        self, created: Created, connection: Connection, namespace: str, spec: Workflow | Schedule, longest: float
    ) -> None:
        """It is being created."""
        self._created, self._connection, self._namespace = created, connection, namespace
        self._spec, self._longest = spec, longest
        self._progress = Progress(spec)

    @property
    def targets(self) -> tuple[str, ...]:
        """Of all its faults so far."""
        return self._progress.targets

    async def begun(self) -> None:
        """It makes its faults when their time comes."""

    async def over(self) -> None:
        """See `pairsim_chaos.target.Injection`. A schedule has no end but that of the time that it is given."""
        flow = isinstance(self._spec, Workflow)
        deadline = time.monotonic() + self._longest
        while True:
            late = time.monotonic() > deadline
            try:
                ended, complaint = await self._look(), "it was not over"
            except ApiRefusedError as error:
                raise WorldError(f"what it makes cannot be looked at: {error}") from error
            except ApiError as error:
                ended, complaint = False, str(error)
            if ended or late or self._progress.aborted:
                break
            await asyncio.sleep(_FLOW_LOOK)
        if flow and not ended and not self._progress.aborted:
            raise WorldError(f"it was not Accomplished within {self._longest:g} s: {complaint}")
        reason = self._progress.unshown()
        if reason:
            raise WorldError(reason)

    async def recover(self) -> None:
        """See `pairsim_chaos.target.Injection`. Its faults are deleted with it, and may take longer than it does."""
        await self._created.delete()
        deadline, ours = time.monotonic() + _GONE, self._progress.made
        left: list[tuple[str, ChaosObject]] | None = None
        while ours and left != []:
            try:
                left = [(plural, each) for plural, each in await self._found() if each.metadata.uid in ours]
            except ApiError as error:
                if isinstance(error, ApiRefusedError) or time.monotonic() > deadline:
                    raise WorldError(f"whether its faults are gone cannot be seen, look for them: {error}") from error
            if left and time.monotonic() > deadline:
                raise WorldError(self._stay(left))
            if left != []:
                await asyncio.sleep(_FLOW_LOOK)

    def _stay(self, left: Sequence[tuple[str, ChaosObject]]) -> str:
        commands = (by_hand(self._namespace, plural, each.metadata.name, each.failed_in) for plural, each in left)
        return (
            f"{len(left)} of its faults are deleted and still there, Chaos Mesh cannot take them back, do it by hand: "
            f"{', '.join(commands)}"
        )

    async def _look(self) -> bool:
        """Whether a workflow is over; what it made is looked at afterwards, so that nothing of it is missed."""
        root = await self._created.look()
        nodes = await self._listed(NODES, NodeObject) if NODES in collections(self._spec) else []
        self._progress.saw(root, nodes, await self._made())
        return root.has("Accomplished")

    async def _made(self) -> list[ChaosObject]:
        return [each for _, each in await self._found()]

    async def _found(self) -> list[tuple[str, ChaosObject]]:
        """All that there is of the kinds that it makes, each with its collection."""
        return [
            (collection, each)
            for collection in collections(self._spec)
            if collection != NODES
            for each in await self._listed(collection, ChaosObject)
        ]

    async def _listed(self, collection: str, kind: type[T]) -> list[T]:
        path = f"{GROUP}/namespaces/{self._namespace}/{collection}"
        try:
            answer = await self._connection.request("GET", path)
            return msgspec.convert(answer.get("items", []), list[kind])  # type: ignore[valid-type]
        except msgspec.MsgspecError as error:
            raise ApiError(f"{path} holds what cannot be read: {error}") from error
