"""An object of Chaos Mesh that a run creates, and deletes again at its end whatever happens.

A request without an answer may or may not have been carried out. Such an object is looked up by its name, and is
recognised by an annotation with an id that only this run knows. The deletion matters: a failed fault that stays would
block later faults of the same pod, and a schedule that stays would never stop. An API server that does not answer is
asked once more, with more time, before the run gives up.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Mapping
from typing import cast

import msgspec

from pairsim.model.documents.yaml import YamlValue
from pairsim.model.labels import CHAOS_RUN_ANNOTATION
from pairsim.wording import duration
from pairsim_chaos.cluster.failures import unknown_collection
from pairsim_chaos.cluster.force_delete import manual_commands
from pairsim_chaos.cluster.objects import GROUP, ChaosObject
from pairsim_chaos.cluster.pod_records import release
from pairsim_chaos.target import UnsupportedFaultError, WorldError
from pairsim_controller.kube.api.connection import (
    REQUEST_SECONDS,
    ApiRefusedError,
    ApiUnreachableError,
    ConflictError,
    Connection,
    ObjectGoneError,
)
from pairsim_controller.kube.api.port import ApiError, Body

LAST_REQUEST_SECONDS = 30.0
"""The deadline of the last request before a run gives up, for an API server that is short of CPU."""
_POLL_SECONDS = 0.25
_DELETION_SECONDS = 60.0
_LATE_CREATION_SECONDS = 5.0
"""How long a request without an answer may still be carried out."""


class ManagedChaosObject:
    """An object of Chaos Mesh that this run creates and deletes."""

    def __init__(self, connection: Connection, namespace: str, plural: str, document: Mapping[str, YamlValue]) -> None:
        """Prepares an object without creating it.

        Args:
            connection: The connection to the API server.
            namespace: The namespace of the object.
            plural: The collection of the object.
            document: The document as written; a namespace, a name if it has none, and the run's annotation are added.
        """
        self._connection, self._run = connection, secrets.token_hex(8)
        self._body = marked(document, namespace, self._run)
        self._name = cast("dict[str, str]", self._body["metadata"])["name"]
        self._namespace, self._plural = namespace, plural
        self._path = f"{self._collection(plural)}/{self._name}"
        self._failed_in: tuple[str, ...] = ()
        self._may_exist = self._creation_confirmed = False

    async def create(self) -> None:
        """Creates the object; must not be cancelled, because its existence would then be unknown.

        Raises:
            UnsupportedFaultError: The cluster does not have this kind.
            WorldError: The API server refused the object, or did not answer; `delete` handles both cases.
        """
        self._may_exist = True
        try:
            await self._connection.request("POST", self._collection(self._plural), body=self._body)
        except ApiUnreachableError as error:
            raise WorldError(f"the experiment could not be created: {error}") from error
        except ApiError as error:
            self._may_exist = False
            if isinstance(error, ObjectGoneError):
                raise UnsupportedFaultError(unknown_collection(self._namespace, error)) from error
            if isinstance(error, ConflictError):
                await self._note_failed_pods()
                raise WorldError(
                    "an experiment with the same name exists, created by another user or left by a killed run: "
                    f"delete it with {self._manual_commands}"
                ) from error
            raise WorldError(f"the API server refused the experiment: {error}") from error
        self._creation_confirmed = True

    async def read(self, seconds: float = REQUEST_SECONDS) -> ChaosObject:
        """Returns the current object; `seconds` is the deadline of the request.

        Raises:
            WorldError: Another client has deleted the object.
            ApiError: The request failed.
        """
        try:
            return await self._get(seconds)
        except ObjectGoneError as error:
            raise WorldError(f"another client deleted the experiment: {error}") from error

    async def read_with_retry(self) -> ChaosObject:
        """Returns the current object, and retries while the API server does not answer.

        Raises:
            WorldError: The object is gone, or could not be read in time.
        """
        deadline = time.monotonic() + _DELETION_SECONDS
        while True:
            late = time.monotonic() > deadline
            try:
                return await self.read(LAST_REQUEST_SECONDS if late else REQUEST_SECONDS)
            except ApiError as error:
                if isinstance(error, ApiRefusedError) or late:
                    raise WorldError(f"the experiment cannot be read: {error}") from error
            await asyncio.sleep(_POLL_SECONDS)

    async def wait_for_condition(self, condition: str, seconds: float) -> ChaosObject:
        """Waits until a condition is true, and returns the object.

        Raises:
            WorldError: The condition did not become true in time; the message names the reason that Chaos Mesh gives.
        """
        deadline, complaint, late = time.monotonic() + seconds, "", False
        while not late:
            late = time.monotonic() > deadline
            try:
                found = await self.read(LAST_REQUEST_SECONDS if late else REQUEST_SECONDS)
            except ApiError as error:
                complaint = str(error)
            else:
                if found.has(condition):
                    return found
                complaint = found.not_injected_reason
            await asyncio.sleep(_POLL_SECONDS)
        reason = complaint or "Chaos Mesh does not report a reason"
        raise WorldError(f"the experiment was not {condition} within {duration(seconds)}: {reason}")

    async def delete(self) -> None:
        """Deletes the object and waits until it is gone; failed requests are repeated.

        Raises:
            WorldError: The object still exists or may exist; the message names the commands to delete it by hand.
        """
        began = time.monotonic()
        while self._may_exist:
            waited = time.monotonic() - began
            late = waited > _DELETION_SECONDS
            try:
                trouble = await self._delete_step(waited, LAST_REQUEST_SECONDS if late else REQUEST_SECONDS)
            except ApiRefusedError as error:
                raise WorldError(
                    f"the experiment could not be deleted, delete it by hand with {self._manual_commands}: {error}"
                ) from error
            except ApiError as error:
                trouble = str(error)
            if self._may_exist:
                if late:
                    raise WorldError(
                        f"the experiment was not gone within {duration(_DELETION_SECONDS)}, delete it by hand with "
                        f"{self._manual_commands}: {trouble}"
                    )
                await asyncio.sleep(_POLL_SECONDS)

    async def _delete_step(self, waited: float, seconds: float) -> str:
        """Deletes the object if it exists; `_may_exist` says afterwards whether it may still exist.

        Args:
            waited: Seconds since the first step.
            seconds: The deadline of the request that reads the object.

        Returns:
            Why the object still exists.

        Raises:
            ApiError: A request failed.
        """
        try:
            found = await self._get(seconds)
        except ObjectGoneError:
            self._may_exist = not (self._creation_confirmed or waited > _LATE_CREATION_SECONDS)
            return "its creation was not answered, and may still be carried out"
        if found.metadata.annotations.get(CHAOS_RUN_ANNOTATION) != self._run:
            self._may_exist = False  # an object of another client with the same name
            return ""
        self._creation_confirmed, self._failed_in = True, found.failed_in
        if found.metadata.deletion_timestamp is None:
            await self._connection.request("DELETE", self._path, body={"preconditions": {"uid": found.metadata.uid}})
            return "the API server has not deleted it yet"
        blocked = await release(self._connection, self._namespace, self._plural, found, waited)
        return blocked or found.complaint or "Chaos Mesh has not removed its fault, see whether its controller runs"

    async def _note_failed_pods(self) -> None:
        """Looks for the pods in which the injection of an object of the same name failed."""
        with contextlib.suppress(ApiError):
            self._failed_in = (await self._get()).failed_in

    @property
    def _manual_commands(self) -> str:
        return manual_commands(self._namespace, self._plural, self._name, self._failed_in)

    def _collection(self, plural: str) -> str:
        return f"{GROUP}/namespaces/{self._namespace}/{plural}"

    async def _get(self, seconds: float = REQUEST_SECONDS) -> ChaosObject:
        try:
            return msgspec.convert(await self._connection.request("GET", self._path, seconds=seconds), ChaosObject)
        except msgspec.MsgspecError as error:
            raise ApiError(f"{self._path} is not an object of Chaos Mesh: {error}") from error


def marked(document: Mapping[str, YamlValue], namespace: str, run: str) -> Body:
    """Returns an experiment as it is sent: with a namespace, a name that is known in advance, and the run's annotation.

    The annotation has a second use: Chaos Mesh cannot abort a workflow without annotations.
    """
    body = msgspec.json.decode(msgspec.json.encode(document), type=dict[str, object])
    metadata = cast("dict[str, object]", body.get("metadata") or {})
    prefix = metadata.pop("generateName", None)
    annotations = cast("dict[str, str]", metadata.get("annotations") or {})
    body["metadata"] = {
        **metadata,
        "name": metadata.get("name") or f"{prefix or ''}{run[:8]}",
        "namespace": namespace,
        "annotations": {**annotations, CHAOS_RUN_ANNOTATION: run},
    }
    return body
