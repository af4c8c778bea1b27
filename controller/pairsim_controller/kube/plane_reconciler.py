"""Planes: creates the areas that a plane is divided into, and summarises all of its areas in its status.

A plane is divided once. The areas of a running world cannot be divided again, because the entities that they simulate
would have to move between them. So if a plane asks for another number of areas than it has, its status says so, and
nothing else happens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from pairsim.model.documents.manifests import Area, areas_of_plane
from pairsim.model.labels import PLANE_LABEL
from pairsim.wording import counted
from pairsim_controller.kube.api.object_store import ObjectStore
from pairsim_controller.kube.api.objects import (
    AreaObject,
    PlaneObject,
    PlaneStatus,
    next_condition,
    owner_reference,
    world_labels,
)
from pairsim_controller.kube.api.port import AREAS, PLANES, Api, Body, ChangedError
from pairsim_controller.plan.authority import MapRecord, gap_message

_MAX_NAMES = 3


def areas_to_create(plane: PlaneObject, areas: Sequence[AreaObject]) -> tuple[Area, ...]:
    """Returns the areas that a plane still lacks; none if its present areas are not those of its division."""
    if plane.metadata.deletion_timestamp is not None:
        return ()
    wanted = {area.metadata.name: area for area in areas_of_plane(plane.metadata.name, plane.spec)}
    present = {area.metadata.name for area in areas}
    if not all(a.metadata.name in wanted and a.spec.bounds == wanted[a.metadata.name].spec.bounds for a in areas):
        return ()
    return tuple(area for name, area in wanted.items() if name not in present)


def plane_status(plane: PlaneObject, areas: Sequence[AreaObject], wall: float) -> PlaneStatus:
    """Returns the status to write.

    Args:
        plane: The plane.
        areas: All of its areas.
        wall: Unix time in seconds.
    """
    verdicts = {
        "Degraded": _degraded(plane, areas),
        "Ready": _all(areas, "Ready", "every area has an active"),
        "Redundant": _all(areas, "Redundant", "every area could take over"),
        "Covered": _covered(plane, areas),
    }
    return PlaneStatus(
        observed_generation=plane.metadata.generation,
        areas=len(areas),
        selector=f"{PLANE_LABEL}={plane.metadata.name}",
        version=plane.status.version,
        highest_number=plane.status.highest_number,
        map_digest=plane.status.map_digest,
        conditions=tuple(
            next_condition(
                kind,
                truth,
                reason,
                message,
                before=plane.status.conditions,
                generation=plane.metadata.generation,
                wall=wall,
            )
            for kind, (truth, reason, message) in sorted(verdicts.items())
        ),
    )


def _degraded(plane: PlaneObject, areas: Sequence[AreaObject]) -> tuple[bool, str, str]:
    wanted = plane.spec.areas
    if wanted and wanted != len(areas) and not areas_to_create(plane, areas):
        return (
            True,
            "CutAlready",
            f"it has {counted(len(areas), 'area')}, and {wanted} are wanted: a running area is not divided again",
        )
    waiting = [area.metadata.name for area in areas if area.status.holds("Degraded")]
    if waiting:
        return True, "AreasDegraded", f"{_listed(waiting)}: see there"
    return False, "Whole", "no area waits for a repair"


def _covered(plane: PlaneObject, areas: Sequence[AreaObject]) -> tuple[bool, str, str]:
    boxes = tuple(area.spec.bounds for area in areas if area.metadata.deletion_timestamp is None)
    if gaps := gap_message(plane.metadata.name, plane.spec.bounds, boxes):
        return False, "Gaps", gaps
    return True, "Whole", "every place is in an area"


def _all(areas: Sequence[AreaObject], kind: str, message: str) -> tuple[bool, str, str]:
    lacking = [area.metadata.name for area in areas if not area.status.holds(kind)]
    if not areas:
        return False, "NoAreas", "it has no area"
    if lacking:
        return False, f"AreasNot{kind}", f"{_listed(lacking)}: see there"
    return True, f"Areas{kind}", message


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


class PlaneReconciler:
    """The one writer of the status of planes, which creates the areas that they are divided into."""

    def __init__(
        self, api: Api, planes: ObjectStore[PlaneObject], areas_of: Callable[[str], Sequence[AreaObject]]
    ) -> None:
        """`areas_of` returns the areas of a plane by its name."""
        self._api, self._planes, self._areas_of = api, planes, areas_of

    async def reconcile(self, name: str, wall: float) -> None:
        """Creates the missing areas of a plane, and writes its status if it changed.

        Args:
            name: The name of the plane; nothing happens if it is gone.
            wall: Unix time in seconds.

        Raises:
            ApiError: Try again; if another client changed the plane, the watch delivers the change before that.
        """
        plane = self._planes.get(name)
        if plane is None:
            return
        areas = self._areas_of(name)
        if not plane.metadata.paused:
            for area in areas_to_create(plane, areas):
                await self._api.create(AREAS, _body(plane, area))
        status = plane_status(plane, areas, wall)
        if status != plane.status:
            await self._write(plane, status)

    async def write_map(self, name: str, record: MapRecord) -> None:
        """Writes the record of a map into the status of its plane, on the version of the object that was read.

        So of two controllers that make the same version one fails.

        Raises:
            ApiError: The plane changed, is gone, or cannot be written.
        """
        plane = self._planes.get(name)
        if plane is None:
            raise ChangedError(f"the plane {name} is gone")
        status = msgspec.structs.replace(
            plane.status, version=record.version, highest_number=record.highest, map_digest=record.digest
        )
        await self._write(plane, status)

    async def _write(self, plane: PlaneObject, status: PlaneStatus) -> None:
        head: Body = {"name": plane.metadata.name, "resourceVersion": plane.metadata.resource_version}
        body: Body = {"apiVersion": PLANES.api_version, "kind": PLANES.kind, "metadata": head}
        body["status"] = msgspec.to_builtins(status)
        self._planes.apply_response(await self._api.apply(PLANES, body, subresource="status"))


def _body(plane: PlaneObject, area: Area) -> Body:
    """Returns an area as an object that is deleted with its plane."""
    owner = owner_reference(PLANES.kind, plane.metadata)
    metadata = {"name": area.metadata.name, "labels": world_labels(), "ownerReferences": [owner]}
    return {
        "apiVersion": AREAS.api_version,
        "kind": AREAS.kind,
        "metadata": metadata,
        "spec": msgspec.to_builtins(area.spec),
    }
