"""Deletes the pod records that keep a deleted fault from going (`force_delete` says when)."""

from __future__ import annotations

import contextlib
from typing import TypeVar

import msgspec

from pairsim_chaos.cluster.force_delete import blocking_faults, deletable_records, pod_records
from pairsim_chaos.cluster.objects import GROUP, ChaosObject
from pairsim_controller.kube.api.connection import REQUEST_SECONDS, Connection, ObjectGoneError
from pairsim_controller.kube.api.port import ApiError

_SETTLE_SECONDS = 2.0
"""How long Chaos Mesh needs to remove other deleted faults from a pod in which the injection of a fault fails."""
T = TypeVar("T")


async def release(connection: Connection, namespace: str, plural: str, fault: ChaosObject, waited: float) -> str:
    """Deletes the pod records that keep a deleted fault from going; call it again while the fault exists.

    Args:
        connection: The connection to the API server.
        namespace: The namespace of the fault.
        plural: The collection of the fault.
        fault: The fault as it was just read.
        waited: Seconds since its deletion.

    Returns:
        Why a pod record has to stay; empty if none has to.

    Raises:
        ApiError: A request failed.
    """
    records = pod_records(plural)
    if not records or not fault.failed_in:
        return ""
    faults = await list_objects(connection, namespace, plural, ChaosObject)
    for pod in deletable_records(fault, faults, settled=waited > _SETTLE_SECONDS):
        home, _, name = pod.partition("/")
        with contextlib.suppress(ObjectGoneError):
            await connection.request("DELETE", f"{GROUP}/namespaces/{home}/{records}/{name}")
    others = blocking_faults(fault, faults)
    return f"the same pods are affected by {' and '.join(others)}, to be deleted first" if others else ""


async def list_objects(
    connection: Connection, namespace: str, collection: str, kind: type[T], *, seconds: float = REQUEST_SECONDS
) -> list[T]:
    """Returns all objects of a collection of Chaos Mesh.

    Raises:
        ApiError: The request failed, or an object cannot be read.
    """
    path = f"{GROUP}/namespaces/{namespace}/{collection}"
    answer = await connection.request("GET", path, seconds=seconds)
    try:
        return msgspec.convert(answer.get("items", []), list[kind])  # type: ignore[valid-type]
    except msgspec.MsgspecError as error:
        raise ApiError(f"{path} holds an unreadable object: {error}") from error
