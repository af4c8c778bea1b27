"""The controller's requests for single objects: one namespace, one field manager."""

from __future__ import annotations

from pairsim.model.labels import FIELD_MANAGER
from pairsim_controller.kube.api.connection import Connection, ObjectGoneError
from pairsim_controller.kube.api.events import EventRecorder
from pairsim_controller.kube.api.port import ApiError, Body, ChangedError, Resource

APPLY = "application/apply-patch+yaml"

SECRETS = Resource("v1", "secrets", "Secret")
LEASES = Resource("coordination.k8s.io/v1", "leases", "Lease")


def path_of(resource: Resource, namespace: str, name: str = "", subresource: str = "") -> str:
    """Returns the path of a collection, of an object, or of a subresource."""
    root = "/api" if "/" not in resource.api_version else "/apis"
    parts = [f"{root}/{resource.api_version}/namespaces/{namespace}/{resource.plural}", name, subresource]
    return "/".join(part for part in parts if part)


def name_of(body: Body) -> str:
    """Returns an object's name. Raises ApiError if it has none."""
    metadata = body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str):
        raise ApiError("an object without a name")
    return name


class KubeApi:
    """Implements `Api` and `LeaseApi` over a connection."""

    def __init__(self, connection: Connection, namespace: str, events: EventRecorder) -> None:
        self._connection, self._namespace, self._events = connection, namespace, events

    async def apply(self, resource: Resource, body: Body, *, subresource: str = "", force: bool = True) -> Body:
        """Writes by server-side apply and returns the object as it is afterwards.

        Raises:
            ChangedError: The object has another version, is deleted, or another manager owns a field.
            ApiError: Any other failure.
        """
        complete: Body = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        path = path_of(resource, self._namespace, name_of(body), subresource)
        query = {"fieldManager": FIELD_MANAGER, "force": "true" if force else "false"}
        try:
            return await self._connection.request("PATCH", path, query=query, body=complete, content=APPLY)
        except ObjectGoneError as error:
            raise ChangedError(str(error)) from error

    async def delete(self, resource: Resource, name: str) -> None:
        """Deletes an object; an object that does not exist counts as deleted. Raises ApiError."""
        try:
            await self._connection.request("DELETE", path_of(resource, self._namespace, name))
        except ObjectGoneError:
            return

    def emit(self, about: Body, reason: str, note: str, *, warning: bool, at: float | None = None) -> None:
        """Queues an Event about an object."""
        self._events.emit(about, reason, note, warning=warning, at=at)

    async def get(self, resource: Resource, name: str) -> Body | None:
        """Returns an object; None if it does not exist. Raises ApiError."""
        try:
            return await self._connection.request("GET", path_of(resource, self._namespace, name))
        except ObjectGoneError:
            return None

    async def create(self, resource: Resource, body: Body) -> Body:
        """Creates an object and returns it.

        Raises:
            ChangedError: An object with this name exists.
            ApiError: Any other failure.
        """
        complete: Body = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        path = path_of(resource, self._namespace)
        return await self._connection.request("POST", path, query={"fieldManager": FIELD_MANAGER}, body=complete)

    async def replace(self, resource: Resource, body: Body) -> Body:
        """Replaces the version of an object that the body's `resourceVersion` names; returns the new version.

        Raises:
            ChangedError: The object has another version, or is deleted.
            ApiError: Any other failure.
        """
        complete: Body = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        path = path_of(resource, self._namespace, name_of(body))
        try:
            return await self._connection.request("PUT", path, query={"fieldManager": FIELD_MANAGER}, body=complete)
        except ObjectGoneError as error:
            raise ChangedError(str(error)) from error
