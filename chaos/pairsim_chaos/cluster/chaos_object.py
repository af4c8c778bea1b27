"""One object of Chaos Mesh that a run creates, and that is gone when the run has ended, whatever happened meanwhile.

An answer that does not come says nothing of the request's fate: such an object is looked for by its name, and is known
by the annotation that this run gave it. A failed fault that stayed would block the later ones of the same pod, and a
schedule would go on for ever.
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
from pairsim_chaos.cluster.force_delete import FORCE, MERGE, by_hand, written_down
from pairsim_chaos.cluster.objects import ChaosObject
from pairsim_chaos.target import RefusedFaultError, WorldError
from pairsim_controller.kube.api.connection import (
    ApiRefusedError,
    ApiUnreachableError,
    ConflictError,
    Connection,
    ObjectGoneError,
)
from pairsim_controller.kube.api.port import ApiError, Body

GROUP = "/apis/chaos-mesh.org/v1alpha1"
_LOOK = 0.25
_GONE = 60.0
_LATE = 5.0
"""Seconds in which a request without an answer may still be carried out."""
_PATIENCE = 10.0
"""Seconds that a deleted fault whose injection fails may take to be injected after all, before it is forced."""


class Created:
    """One object; it is not there yet."""

    def __init__(self, connection: Connection, namespace: str, plural: str, document: Mapping[str, YamlValue]) -> None:
        """`document` is as it is written; it gets a namespace, a name if it has none, and the run's annotation."""
        self._connection, self._run = connection, secrets.token_hex(8)
        self._body = marked(document, namespace, self._run)
        self._name = cast("dict[str, str]", self._body["metadata"])["name"]
        self._namespace, self._plural = namespace, plural
        self._path = f"{self._collection(plural)}/{self._name}"
        self._failed_in: tuple[str, ...] = ()
        self._left: list[str] = []
        self._there = self._answered = False

    async def create(self) -> None:
        """Must not be broken off: then nobody would know whether it is there.

        Raises:
            RefusedFaultError: The cluster has no such kind.
            WorldError: It was not taken, or that is not known; `delete` makes sure.
        """
        self._there = True
        try:
            await self._connection.request("POST", self._collection(self._plural), body=self._body)
        except ApiUnreachableError as error:
            raise WorldError(f"it could not be created: {error}") from error
        except ApiError as error:
            self._there = False
            if isinstance(error, ObjectGoneError):
                raise RefusedFaultError(
                    f"the cluster does not know its kind: install Chaos Mesh 2.x ({error})"
                ) from error
            if isinstance(error, ConflictError):
                raise WorldError(
                    f"there is one of its name, somebody else's or left by a run that was killed: {self._by_hand}"
                ) from error
            raise WorldError(f"it was not taken: {error}") from error
        self._answered = True

    async def look(self) -> ChaosObject:
        """As it is now.

        Raises:
            WorldError: Somebody else deleted it.
            ApiError: It cannot be looked at.
        """
        try:
            return await self._seen()
        except ObjectGoneError as error:
            raise WorldError(f"somebody else deleted it: {error}") from error

    async def now(self) -> ChaosObject:
        """The same, when an API server that does not tell at once is asked again.

        Raises:
            WorldError: It is gone, or cannot be looked at.
        """
        deadline = time.monotonic() + _GONE
        while True:
            try:
                return await self.look()
            except ApiError as error:
                if isinstance(error, ApiRefusedError) or time.monotonic() > deadline:
                    raise WorldError(f"it cannot be looked at: {error}") from error
            await asyncio.sleep(_LOOK)

    async def until(self, condition: str, seconds: float) -> ChaosObject:
        """Waits for a condition.

        Raises:
            WorldError: It did not come in time; what Chaos Mesh says against it.
        """
        deadline, complaint = time.monotonic() + seconds, ""
        while time.monotonic() < deadline:
            try:
                seen = await self.look()
            except ApiError as error:
                complaint = str(error)
            else:
                if seen.has(condition):
                    return seen
                complaint = seen.wanting
            await asyncio.sleep(_LOOK)
        raise WorldError(f"it was not {condition} within {seconds:g} s: {complaint or 'Chaos Mesh does not say why'}")

    async def delete(self) -> None:
        """Until it is gone; what an API server cannot do at once is tried again.

        Raises:
            WorldError: It is still there, or may be; what to do about it.
        """
        began = time.monotonic()
        while self._there or self._left:
            trouble = "it is deleted and still there, Chaos Mesh cannot take it back"
            try:
                await self._remove(time.monotonic() - began)
            except ApiRefusedError as error:
                raise WorldError(f"it could not be deleted, do it by hand, {self._by_hand}: {error}") from error
            except ApiError as error:
                trouble = str(error)
            if self._there or self._left:
                if time.monotonic() > began + _GONE:
                    raise WorldError(f"it was not gone within {_GONE:g} s, do it by hand, {self._by_hand}: {trouble}")
                await asyncio.sleep(_LOOK)

    async def _remove(self, waited: float) -> None:
        """A step: what it left at pods goes after it, or Chaos Mesh would write it down again."""
        if self._there:
            self._there = await self._still_there(waited)
        while self._left and not self._there:
            with contextlib.suppress(ObjectGoneError):
                await self._connection.request("DELETE", self._left[-1])
            self._left.pop()

    async def _still_there(self, waited: float) -> bool:
        """Has it deleted if it is, and is it not deleted yet."""
        try:
            seen = await self._seen()
        except ObjectGoneError:
            return not (self._answered or waited > _LATE)
        if seen.metadata.annotations.get(CHAOS_RUN_ANNOTATION) != self._run:
            return False  # somebody else's, of the same name
        self._answered = True
        if seen.metadata.deletion_timestamp is None:
            await self._connection.request("DELETE", self._path, body={"preconditions": {"uid": seen.metadata.uid}})
        elif (kept := written_down(self._plural)) and seen.failed_in and waited > _PATIENCE:
            self._failed_in = seen.failed_in
            self._left = [f"{self._collection(kept)}/{pod}" for pod in seen.failed_in]
            await self._connection.request("PATCH", self._path, body=FORCE, content=MERGE)
        return True

    @property
    def _by_hand(self) -> str:
        return by_hand(self._namespace, self._plural, self._name, self._failed_in)

    def _collection(self, plural: str) -> str:
        return f"{GROUP}/namespaces/{self._namespace}/{plural}"

    async def _seen(self) -> ChaosObject:
        try:
            return msgspec.convert(await self._connection.request("GET", self._path), ChaosObject)
        except msgspec.MsgspecError as error:
            raise ApiError(f"{self._path} is nothing that Chaos Mesh writes: {error}") from error


def marked(document: Mapping[str, YamlValue], namespace: str, run: str) -> Body:
    """An experiment as it is sent: in a namespace, under a name that is known before, with the run's annotation.

    Chaos Mesh cannot abort a workflow without annotations, which is one more reason for it.
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
