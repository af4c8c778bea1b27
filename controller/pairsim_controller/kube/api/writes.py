"""The controller's writes, as requests: one namespace, one field manager."""

from __future__ import annotations

from pairsim.model.labels import FIELD_MANAGER
from pairsim_controller.kube.api.connection import Connection, GoneError
from pairsim_controller.kube.api.events import Events
from pairsim_controller.kube.api.port import ApiError, Body, ChangedError, Resource

APPLY = "application/apply-patch+yaml"

SECRETS = Resource("v1", "secrets", "Secret")
LEASES = Resource("coordination.k8s.io/v1", "leases", "Lease")


def path_of(resource: Resource, namespace: str, name: str = "", subresource: str = "") -> str:
    """The path of a collection, an object or a part of it."""
    root = "/api" if "/" not in resource.api_version else "/apis"
    parts = [f"{root}/{resource.api_version}/namespaces/{namespace}/{resource.plural}", name, subresource]
    return "/".join(part for part in parts if part)


def name_of(body: Body) -> str:
    """An object's name."""
    metadata = body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str):
        raise ApiError("an object without a name")
    return name


class KubeApi:
    """See `Api`."""

    def __init__(self, connection: Connection, namespace: str, events: Events) -> None:
        self._connection, self._namespace, self._events = connection, namespace, events

    async def apply(self, resource: Resource, body: Body, *, subresource: str = "", force: bool = True) -> Body:
        """See `Api`."""
        whole: Body = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        path = path_of(resource, self._namespace, name_of(body), subresource)
        query = {"fieldManager": FIELD_MANAGER, "force": "true" if force else "false"}
        try:
            return await self._connection.request("PATCH", path, query=query, body=whole, content=APPLY)
        except GoneError as error:
            raise ChangedError(str(error)) from error

    async def delete(self, resource: Resource, name: str) -> None:
        """See `Api`."""
        try:
            await self._connection.request("DELETE", path_of(resource, self._namespace, name))
        except GoneError:
            return

    def tell(self, about: Body, reason: str, note: str, *, warning: bool) -> None:
        """See `Api`."""
        self._events.tell(about, reason, note, warning=warning)

    async def get(self, resource: Resource, name: str) -> Body | None:
        """An object; None if there is none. Raises ApiError."""
        try:
            return await self._connection.request("GET", path_of(resource, self._namespace, name))
        except GoneError:
            return None

    async def create(self, resource: Resource, body: Body) -> Body:
        """Makes an object.

        Raises:
            ChangedError: There is one of that name.
            ApiError: Anything else.
        """
        whole: Body = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        path = path_of(resource, self._namespace)
        return await self._connection.request("POST", path, query={"fieldManager": FIELD_MANAGER}, body=whole)

    async def replace(self, resource: Resource, body: Body) -> Body:
        """Puts an object in the place of the version that its `resourceVersion` names.

        Raises:
            ChangedError: It has another version, or is gone.
            ApiError: Anything else.
        """
        whole: Body = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        path = path_of(resource, self._namespace, name_of(body))
        try:
            return await self._connection.request("PUT", path, query={"fieldManager": FIELD_MANAGER}, body=whole)
        except GoneError as error:
            raise ChangedError(str(error)) from error
