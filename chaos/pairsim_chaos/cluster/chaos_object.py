"""An object of Chaos Mesh that a run creates, and deletes again at its end whatever happens.

A request without an answer may or may not have been carried out. Such an object is looked up by its name, and is
recognised by an annotation with an id that only this run knows. The deletion matters: a failed fault that stays would
block later faults of the same pod, and a schedule that stays would never stop.
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
from pairsim_chaos.cluster.force_delete import FORCE, MERGE, manual_commands, pod_records
from pairsim_chaos.cluster.objects import ChaosObject
from pairsim_chaos.target import UnsupportedFaultError, WorldError
from pairsim_controller.kube.api.connection import (
    ApiRefusedError,
    ApiUnreachableError,
    ConflictError,
    Connection,
    ObjectGoneError,
)
from pairsim_controller.kube.api.port import ApiError, Body

GROUP = "/apis/chaos-mesh.org/v1alpha1"
_POLL_SECONDS = 0.25
_DELETION_SECONDS = 60.0
_LATE_CREATION_SECONDS = 5.0
"""How long a request without an answer may still be carried out."""
_FORCE_AFTER_SECONDS = 10.0
"""How long a deleted fault whose injection failed may take to be injected after all, before it is forced."""


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
        self._leftover_paths: list[str] = []
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
                raise UnsupportedFaultError(
                    f"the cluster does not know the kind of the experiment: install Chaos Mesh 2.x ({error})"
                ) from error
            if isinstance(error, ConflictError):
                raise WorldError(
                    "an experiment with the same name exists, created by another user or left by a killed run: "
                    f"{self._manual_commands}"
                ) from error
            raise WorldError(f"the API server refused the experiment: {error}") from error
        self._creation_confirmed = True

    async def read(self) -> ChaosObject:
        """Returns the current object.

        Raises:
            WorldError: Another client has deleted the object.
            ApiError: The request failed.
        """
        try:
            return await self._get()
        except ObjectGoneError as error:
            raise WorldError(f"another client deleted the experiment: {error}") from error

    async def read_with_retry(self) -> ChaosObject:
        """Returns the current object, and retries while the API server does not answer.

        Raises:
            WorldError: The object is gone, or could not be read in time.
        """
        deadline = time.monotonic() + _DELETION_SECONDS
        while True:
            try:
                return await self.read()
            except ApiError as error:
                if isinstance(error, ApiRefusedError) or time.monotonic() > deadline:
                    raise WorldError(f"the experiment cannot be read: {error}") from error
            await asyncio.sleep(_POLL_SECONDS)

    async def wait_for_condition(self, condition: str, seconds: float) -> ChaosObject:
        """Waits until a condition is true, and returns the object.

        Raises:
            WorldError: The condition did not become true in time; the message names the reason that Chaos Mesh gives.
        """
        deadline, complaint = time.monotonic() + seconds, ""
        while time.monotonic() < deadline:
            try:
                found = await self.read()
            except ApiError as error:
                complaint = str(error)
            else:
                if found.has(condition):
                    return found
                complaint = found.not_injected_reason
            await asyncio.sleep(_POLL_SECONDS)
        reason = complaint or "Chaos Mesh does not report a reason"
        raise WorldError(f"the experiment was not {condition} within {seconds:g} s: {reason}")

    async def delete(self) -> None:
        """Deletes the object and waits until it is gone; failed requests are repeated.

        Raises:
            WorldError: The object still exists or may exist; the message names the commands to delete it by hand.
        """
        began = time.monotonic()
        while self._may_exist or self._leftover_paths:
            trouble = "the experiment still exists after its deletion because Chaos Mesh cannot remove its fault"
            try:
                await self._delete_step(time.monotonic() - began)
            except ApiRefusedError as error:
                raise WorldError(
                    f"the experiment could not be deleted, delete it by hand with {self._manual_commands}: {error}"
                ) from error
            except ApiError as error:
                trouble = str(error)
            if self._may_exist or self._leftover_paths:
                if time.monotonic() > began + _DELETION_SECONDS:
                    raise WorldError(
                        f"the experiment was not gone within {_DELETION_SECONDS:g} s, delete it by hand with "
                        f"{self._manual_commands}: {trouble}"
                    )
                await asyncio.sleep(_POLL_SECONDS)

    async def _delete_step(self, waited: float) -> None:
        """Advances the deletion; pod records are deleted after the object, or Chaos Mesh would write them again."""
        if self._may_exist:
            self._may_exist = await self._delete_object(waited)
        while self._leftover_paths and not self._may_exist:
            with contextlib.suppress(ObjectGoneError):
                await self._connection.request("DELETE", self._leftover_paths[-1])
            self._leftover_paths.pop()

    async def _delete_object(self, waited: float) -> bool:
        """Deletes the object if it exists; returns whether it may still exist."""
        try:
            found = await self._get()
        except ObjectGoneError:
            return not (self._creation_confirmed or waited > _LATE_CREATION_SECONDS)
        if found.metadata.annotations.get(CHAOS_RUN_ANNOTATION) != self._run:
            return False  # an object of another client with the same name
        self._creation_confirmed = True
        if found.metadata.deletion_timestamp is None:
            await self._connection.request("DELETE", self._path, body={"preconditions": {"uid": found.metadata.uid}})
        elif (records := pod_records(self._plural)) and found.failed_in and waited > _FORCE_AFTER_SECONDS:
            self._failed_in = found.failed_in
            self._leftover_paths = [f"{self._collection(records)}/{pod}" for pod in found.failed_in]
            await self._connection.request("PATCH", self._path, body=FORCE, content=MERGE)
        return True

    @property
    def _manual_commands(self) -> str:
        return manual_commands(self._namespace, self._plural, self._name, self._failed_in)

    def _collection(self, plural: str) -> str:
        return f"{GROUP}/namespaces/{self._namespace}/{plural}"

    async def _get(self) -> ChaosObject:
        try:
            return msgspec.convert(await self._connection.request("GET", self._path), ChaosObject)
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
