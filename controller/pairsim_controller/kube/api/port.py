"""What the cluster backend needs of an API server; a seam, so that it can be tried against a world in memory."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from pairsim.model.labels import API_VERSION

Body = dict[str, object]


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
WATCHED = (PLANES, AREAS, PODS, SERVICES, BUDGETS)


class ApiError(Exception):
    """A request that was not carried out, or whose fate is not known; its text is a sentence."""


class ChangedError(ApiError):
    """The object is not any more as it was read: what was to be written is decided again."""


class Api(Protocol):
    """Writes to one namespace, with one field manager; every call has a deadline of its own."""

    async def apply(self, resource: Resource, body: Body, *, subresource: str = "", force: bool = True) -> Body:
        """Server-side apply; the object as it is now.

        With a `resourceVersion` in the body it is done only if the object still has it. Without `force` it is refused
        if it would change what somebody else wrote.

        Raises:
            ChangedError: It has another version, or is gone, or somebody else's field is in the way.
            ApiError: Anything else.
        """

    async def create(self, resource: Resource, body: Body) -> Body:
        """Makes an object that is not there.

        Raises:
            ChangedError: It is there.
            ApiError: Anything else.
        """

    def tell(self, about: Body, reason: str, note: str, *, warning: bool) -> None:
        """Makes an event about an object, in the background; what cannot be told in time is dropped and counted."""


class Agenda(Protocol):
    """Keys that need another look; each is looked at by one worker at a time."""

    def add(self, key: str) -> None:
        """As soon as may be."""

    def add_after(self, key: str, seconds: float) -> None:
        """Later; an `add` that comes before it does not wait."""
