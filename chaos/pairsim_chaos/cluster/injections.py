"""Running experiments in a cluster: a single fault, or a workflow or schedule that creates faults."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence

from pairsim.wording import duration
from pairsim_chaos.cluster.chaos_object import LAST_REQUEST_SECONDS, ManagedChaosObject
from pairsim_chaos.cluster.force_delete import manual_commands
from pairsim_chaos.cluster.objects import ChaosObject, WorkflowNode
from pairsim_chaos.cluster.pod_records import list_objects, release
from pairsim_chaos.cluster.progress import NODES, CompositeProgress, collections
from pairsim_chaos.experiment.faults import Fault, PodFault
from pairsim_chaos.experiment.model import Schedule, Workflow
from pairsim_chaos.target import WorldError
from pairsim_controller.kube.api.connection import REQUEST_SECONDS, ApiRefusedError, Connection
from pairsim_controller.kube.api.port import ApiError

_INJECTION_SECONDS, _RECOVERY_SECONDS, _DELETION_SECONDS = 30.0, 60.0, 60.0
_POLL_SECONDS = 0.5
"""Faults of a workflow or a schedule should last at least this long, or a poll may miss them."""


class SingleInjection:
    """A single fault; implements `pairsim_chaos.target.Injection`."""

    def __init__(self, managed: ManagedChaosObject, fault: Fault, max_duration: float) -> None:
        """Creates the injection of a fault whose object is being created."""
        self._object, self._fault, self._max_duration = managed, fault, max_duration
        self.targets: tuple[str, ...] = ()

    async def await_injected(self) -> None:
        """Waits until Chaos Mesh has injected the fault.

        Raises:
            WorldError: The fault was not injected in time.
        """
        self.targets = (await self._object.wait_for_condition("AllInjected", _INJECTION_SECONDS)).targets

    async def wait(self) -> None:
        """Waits until the fault has ended by itself, or `max_duration` has passed.

        Raises:
            WorldError: Chaos Mesh did not remove the fault after its duration, or the fault ended too early.
        """
        if isinstance(self._fault, PodFault) and self._fault.instant:
            return
        duration = self._fault.duration_seconds or self._max_duration
        await asyncio.sleep(min(duration, self._max_duration))
        if duration <= self._max_duration:
            if (await self._object.wait_for_condition("AllRecovered", _RECOVERY_SECONDS)).has("Paused"):
                raise WorldError("another client paused the fault, which removed it before its end")
        else:
            await self._check_still_injected()

    async def _check_still_injected(self) -> None:
        """Checks the fault; Chaos Mesh counts its duration from the creation, so a slow injection may leave little."""
        if not (await self._object.read_with_retry()).has("AllInjected"):
            raise WorldError(
                f"the fault ended by itself before the {duration(self._max_duration)} of --max-duration were over: its "
                f"duration of {duration(self._fault.duration_seconds or 0.0)} began at its creation, and its injection "
                "took long"
            )

    async def recover(self) -> None:
        """Deletes the fault.

        Raises:
            WorldError: The fault still exists or may exist.
        """
        await self._object.delete()


class CompositeInjection:
    """A workflow or a schedule; implements `pairsim_chaos.target.Injection`.

    A workflow or schedule whose faults were not injected has proved nothing, which is an error.
    """

    def __init__(
        self,
        managed: ManagedChaosObject,
        connection: Connection,
        namespace: str,
        spec: Workflow | Schedule,
        max_duration: float,
    ) -> None:
        """Creates the injection of a workflow or schedule whose object is being created."""
        self._object, self._connection, self._namespace = managed, connection, namespace
        self._spec, self._max_duration = spec, max_duration
        self._progress = CompositeProgress(spec)

    @property
    def targets(self) -> tuple[str, ...]:
        """Returns the pods that any of its faults was injected into so far."""
        return self._progress.targets

    async def await_injected(self) -> None:
        """Returns at once, because the faults are injected later, when their time comes."""

    async def wait(self) -> None:
        """Waits until the workflow has ended; a schedule ends after `max_duration`.

        Raises:
            WorldError: The workflow did not end in time or was aborted, or a fault was not injected.
        """
        is_workflow = isinstance(self._spec, Workflow)
        deadline = time.monotonic() + self._max_duration
        while True:
            late = time.monotonic() > deadline
            try:
                ended, complaint = await self._poll(), "the workflow was still running"
            except ApiRefusedError as error:
                raise WorldError(f"the objects of the experiment cannot be read: {error}") from error
            except ApiError as error:
                ended, complaint = False, str(error)
            if ended or late or self._progress.aborted:
                break
            await asyncio.sleep(_POLL_SECONDS)
        if is_workflow and not ended and not self._progress.aborted:
            raise WorldError(f"the workflow was not Accomplished within {duration(self._max_duration)}: {complaint}")
        reason = self._progress.missing_injections()
        if reason:
            raise WorldError(reason)

    async def recover(self) -> None:
        """Deletes the workflow or schedule and waits until its faults are gone, which may take longer.

        Raises:
            WorldError: Faults still exist or may exist; the message names the commands to delete them by hand.
        """
        with contextlib.suppress(ApiError, WorldError):
            await self._poll()  # a fault may have been created since the last poll
        await self._object.delete()
        began, created = time.monotonic(), self._progress.created
        left: list[tuple[str, ChaosObject]] | None = None
        while created and left != []:
            waited = time.monotonic() - began
            late = waited > _DELETION_SECONDS
            try:
                listed = await self._listed_objects(LAST_REQUEST_SECONDS if late else REQUEST_SECONDS)
                left = [(plural, each) for plural, each in listed if each.metadata.uid in created]
                for plural, each in left:
                    await release(self._connection, self._namespace, plural, each, waited)
            except ApiError as error:
                if isinstance(error, ApiRefusedError) or late:
                    raise WorldError(self._unknown_message(left, error)) from error
            if left and late:
                raise WorldError(self._leftover_message(left))
            if left != []:
                await asyncio.sleep(_POLL_SECONDS)

    def _unknown_message(self, left: Sequence[tuple[str, ChaosObject]] | None, error: ApiError) -> str:
        if left:
            return f"{self._leftover_message(left)}: {error}"
        kinds = ",".join(f"{each}.chaos-mesh.org" for each in collections(self._spec) if each != NODES)
        return (
            "it is unknown whether the faults of the experiment are gone, look for them with "
            f"`kubectl -n {self._namespace} get {kinds}`: {error}"
        )

    def _leftover_message(self, left: Sequence[tuple[str, ChaosObject]]) -> str:
        commands = (
            manual_commands(self._namespace, plural, each.metadata.name, each.failed_in) for plural, each in left
        )
        faults, them = ("1 fault exists", "it") if len(left) == 1 else (f"{len(left)} faults exist", "them")
        return (
            f"{faults} {duration(_DELETION_SECONDS)} after the deletion of the experiment, delete {them} by hand with "
            f"{', '.join(commands)}"
        )

    async def _poll(self) -> bool:
        """Updates the progress and returns whether the workflow has ended.

        The created objects are read after the workflow, so that none is missed.
        """
        root = await self._object.read()
        nodes: list[WorkflowNode] = []
        if NODES in collections(self._spec):
            nodes = await list_objects(self._connection, self._namespace, NODES, WorkflowNode)
        self._progress.update(root, nodes, [each for _, each in await self._listed_objects()])
        return root.has("Accomplished")

    async def _listed_objects(self, seconds: float = REQUEST_SECONDS) -> list[tuple[str, ChaosObject]]:
        """Returns all objects of the kinds that the experiment creates, each with its collection."""
        return [
            (collection, each)
            for collection in collections(self._spec)
            if collection != NODES
            for each in await list_objects(self._connection, self._namespace, collection, ChaosObject, seconds=seconds)
        ]
