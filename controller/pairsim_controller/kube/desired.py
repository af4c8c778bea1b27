"""The desired state of an area, from its `Area` and `Plane` objects; pure."""

from __future__ import annotations

from collections.abc import Iterable

from pairsim.model.area import AreaSpec
from pairsim.model.documents.manifests import area_spec, containment_error, overlap_errors
from pairsim_controller.kube.api.objects import AreaObject, PlaneObject
from pairsim_controller.plan.fleet_index import DesiredArea


def desired_area(
    area: AreaObject, plane: PlaneObject | None, siblings: Iterable[AreaObject], *, backups: bool = False
) -> DesiredArea:
    """Returns what the user wants of an area.

    Args:
        area: The area.
        plane: Its plane, if that exists.
        siblings: The areas of the plane; those that existed before this area must not overlap it.
        backups: Whether deleted areas are backed up.
    """
    if area.metadata.deletion_timestamp is not None:
        pending = backups and not area.status.backup and not area.metadata.skips_backup
        return DesiredArea(None, backup_pending=pending)
    if plane is None:
        # The simulator of the area is unknown, so its members go on as they are.
        return DesiredArea(spec_of(area, None), blocked_reason=f"its plane {area.spec.plane} is not there")
    paused = area.metadata.paused or plane.metadata.paused
    return DesiredArea(
        spec_of(area, plane),
        paused=paused,
        blocked_reason=_blocked_reason(area, plane, siblings),
        warm_engines=plane.spec.warm_engines,
    )


def spec_of(area: AreaObject, plane: PlaneObject | None) -> AreaSpec:
    """Returns the spec that members receive; without a plane it is incomplete and must not be sent."""
    if plane is not None:
        return area_spec(area.metadata.name, area.spec, plane.spec)
    bounds = area.spec.bounds
    return AreaSpec(area=area.metadata.name, plane=area.spec.plane, simulator="", bounds=bounds, world=bounds)


def _blocked_reason(area: AreaObject, plane: PlaneObject, siblings: Iterable[AreaObject]) -> str:
    """Returns why an area must not be created; an area that was created already stays, whatever its bounds are."""
    if area.status.assignment is not None:
        return ""
    if outside := containment_error(area.spec, plane.spec):
        return f"{outside}: delete it, and make it anew within them"
    earlier = [x for x in siblings if x.metadata.name != area.metadata.name and _precedes(x, area)]
    overlap = next(overlap_errors(area.spec, ((x.metadata.name, x.spec) for x in earlier)), "")
    return f"{overlap}: delete one of them" if overlap else ""


def _precedes(other: AreaObject, area: AreaObject) -> bool:
    if other.status.assignment is not None:
        return True
    return (other.metadata.creation_timestamp or "", other.metadata.name) < (
        area.metadata.creation_timestamp or "",
        area.metadata.name,
    )
