"""The controller's ports to an API server: what its decisions need, so that tests can use a world in memory."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from pairsim.model.labels import API_VERSION

Body = dict[str, object]
"""A Kubernetes object as JSON."""


class Resource(NamedTuple):
    """A kind of object, by its names in paths and in bodies."""

    api_version: str
    plural: str
    kind: str


PODS = Resource("v1", "pods", "Pod")
SERVICES = Resource("v1", "services", "Service")
BUDGETS = Resource("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget")
AREAS = Resource(API_VERSION, "areas", "Area")
PLANES = Resource(API_VERSION, "planes", "Plane")
DEPLOYMENTS = Resource("apps/v1", "deployments", "Deployment")
WATCHED = (PLANES, AREAS, PODS, SERVICES, BUDGETS, DEPLOYMENTS)


class ApiError(Exception):
    """A request failed, or its outcome is unknown; the text is a sentence."""


class ChangedError(ApiError):
    """The object changed since it was read: decide again on its new version."""


class Api(Protocol):
    """Writes to one namespace, with one field manager; every call has a deadline of its own."""

    async def apply(self, resource: Resource, body: Body, *, subresource: str = "", force: bool = True) -> Body:
        """Writes by server-side apply and returns the object as it is afterwards.

        Args:
            resource: The kind of object.
            body: The fields to write. With a `resourceVersion` the write succeeds on that version alone.
            subresource: `status`, or empty for the object itself.
            force: Whether to take over fields of other managers; otherwise such a write is refused.

        Raises:
            ChangedError: The object has another version, is deleted, or another manager owns a field.
            ApiError: Any other failure.
        """

    async def create(self, resource: Resource, body: Body) -> Body:
        """Creates an object and returns it.

        Raises:
            ChangedError: The object exists.
            ApiError: Any other failure.
        """

    def emit(self, about: Body, reason: str, note: str, *, warning: bool, at: float | None = None) -> None:
        """Queues an Event about an object; an event that cannot be written in time is dropped and counted.

        Args:
            about: The reference to the object.
            reason: The reason in one word.
            note: A sentence.
            warning: Whether the event has type `Warning` instead of `Normal`.
            at: When it happened, Unix time in seconds; None for now.
        """


class KeyQueue(Protocol):
    """Keys that need work. One worker at a time works on a key."""

    def add(self, key: str) -> None:
        """Queues a key at once."""

    def add_after(self, key: str, seconds: float) -> None:
        """Queues a key after a delay; an `add` that comes before does not wait for it."""
