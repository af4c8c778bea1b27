"""Planes: cuts those that say how many areas they have, and tells what became of all of their areas.

A plane is cut once. The areas of a running world cannot be cut anew: what they simulate would have to move from one
to the other. So another number than there are areas is said to be so, and nothing is done about it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from pairsim.model.documents.world import Area, cut_areas
from pairsim_controller.kube.api.object_store import ObjectStore
from pairsim_controller.kube.api.objects import (
    API_VERSION,
    PART_OF,
    PLANE,
    WORLD,
    AreaObject,
    PlaneObject,
    PlaneStatus,
    next_condition,
    owner_reference,
)
from pairsim_controller.kube.api.port import AREAS, PLANES, Api, Body

_NAMED = 3


def missing(plane: PlaneObject, areas: Sequence[AreaObject]) -> tuple[Area, ...]:
    """The areas that a plane is still to be cut into; none if what is there is not of that cut."""
    if plane.metadata.deletion_timestamp is not None:
        return ()
    wanted = {area.metadata.name: area for area in cut_areas(plane.metadata.name, plane.spec)}
    there = {area.metadata.name for area in areas}
    if not all(a.metadata.name in wanted and a.spec.bounds == wanted[a.metadata.name].spec.bounds for a in areas):
        return ()
    return tuple(area for name, area in wanted.items() if name not in there)


def plane_status(plane: PlaneObject, areas: Sequence[AreaObject], wall: float) -> PlaneStatus:
    """The status to write.

    Args:
        plane: As it is.
        areas: All of its areas.
        wall: Unix time.
    """
    verdicts = {
        "Degraded": _degraded(plane, areas),
        "Ready": _all(areas, "Ready", "every area has an active"),
        "Redundant": _all(areas, "Redundant", "every area could take over"),
    }
    return PlaneStatus(
        observed_generation=plane.metadata.generation,
        areas=len(areas),
        selector=f"{PLANE}={plane.metadata.name}",
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
            for kind, (truth, reason, message) in verdicts.items()
        ),
    )


def _degraded(plane: PlaneObject, areas: Sequence[AreaObject]) -> tuple[bool, str, str]:
    wanted = plane.spec.areas
    if wanted and wanted != len(areas) and not missing(plane, areas):
        return (
            True,
            "CutAlready",
            f"it has {len(areas)} areas, and {wanted} are wanted: a running area is not cut anew",
        )
    waits = [area.metadata.name for area in areas if area.status.holds("Degraded")]
    if waits:
        return True, "AreasDegraded", f"{_listed(waits)}: see there"
    return False, "Whole", "no area waits for a repair"


def _all(areas: Sequence[AreaObject], kind: str, sentence: str) -> tuple[bool, str, str]:
    lacking = [area.metadata.name for area in areas if not area.status.holds(kind)]
    if not areas:
        return False, "NoAreas", "it has no area"
    if lacking:
        return False, f"AreasNot{kind}", f"{_listed(lacking)}: see there"
    return True, f"Areas{kind}", sentence


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


class Surveyor:
    """Writes planes, and the areas that they are cut into."""

    def __init__(
        self, api: Api, planes: ObjectStore[PlaneObject], of_plane: Callable[[str], Sequence[AreaObject]]
    ) -> None:
        """`of_plane` tells a plane's areas."""
        self._api, self._planes, self._of_plane = api, planes, of_plane

    async def survey(self, name: str, wall: float) -> None:
        """Makes a plane's missing areas, and writes its status if there is something new in it.

        Args:
            name: Of the plane; nothing is done if it is gone.
            wall: Unix time.

        Raises:
            ApiError: Try again; what was changed by another is heard of before that.
        """
        plane = self._planes.get(name)
        if plane is None:
            return
        areas = self._of_plane(name)
        if not plane.metadata.paused:
            for area in missing(plane, areas):
                await self._api.create(AREAS, _body(plane, area))
        found = plane_status(plane, areas, wall)
        if found != plane.status:
            head: Body = {"name": name, "resourceVersion": plane.metadata.resource_version}
            body: Body = {"apiVersion": API_VERSION, "kind": PLANES.kind, "metadata": head}
            status = {"status": msgspec.to_builtins(found)}
            self._planes.apply_response(await self._api.apply(PLANES, body | status, subresource="status"))


def _body(plane: PlaneObject, area: Area) -> Body:
    """The area as a document; it goes with its plane."""
    owner = owner_reference(PLANES.kind, plane.metadata)
    metadata = {"name": area.metadata.name, "labels": {PART_OF: WORLD}, "ownerReferences": [owner]}
    return {
        "apiVersion": API_VERSION,
        "kind": AREAS.kind,
        "metadata": metadata,
        "spec": msgspec.to_builtins(area.spec),
    }
