"""What the users of a cluster want of an area, and what is in the way of it; pure."""

from __future__ import annotations

from collections.abc import Iterable

from pairsim.model.area import AreaSpec
from pairsim_controller.kube.api.objects import AreaObject, PlaneObject
from pairsim_controller.plan.fleet_index import Wanted


def wanted_of(
    area: AreaObject, plane: PlaneObject | None, beside: Iterable[AreaObject], *, backups: bool = False
) -> Wanted:
    """What is wanted of an area.

    Args:
        area: The area.
        plane: Its plane, if it is there.
        beside: All areas; those that were there before it must not overlap it.
        backups: Whether areas that are deleted are backed up.
    """
    if area.metadata.deletion_timestamp is not None:
        return Wanted(None, unsaved=backups and not area.status.backup and not area.metadata.skips_backup)
    if plane is None:
        # What it simulates is not known: its members go on as they are.
        return Wanted(area_spec(area, None), obstacle=f"its plane {area.spec.plane} is not there")
    paused = area.metadata.paused or plane.metadata.paused
    return Wanted(area_spec(area, plane), paused=paused, obstacle=_obstacle(area, plane, beside))


def area_spec(area: AreaObject, plane: PlaneObject | None) -> AreaSpec:
    """What its members must know of an area; without its plane it is not fit to be sent."""
    if plane is None:
        bounds = area.spec.bounds
        return AreaSpec(area=area.metadata.name, plane=area.spec.plane, simulator="", bounds=bounds, world=bounds)
    return AreaSpec(
        area=area.metadata.name,
        plane=plane.metadata.name,
        simulator=plane.spec.simulator,
        parameters=plane.spec.parameters,
        seed=plane.spec.seed,
        tick_rate=plane.spec.tick_rate,
        bounds=area.spec.bounds,
        world=plane.spec.bounds,
        entities=area.spec.entities,
    )


def _obstacle(area: AreaObject, plane: PlaneObject, beside: Iterable[AreaObject]) -> str:
    """Why it must not be founded. An area that was founded is there, whatever is wrong with it."""
    if area.status.assignment is not None:
        return ""
    if not plane.spec.bounds.contains(area.spec.bounds):
        return f"its bounds reach beyond those of plane {plane.metadata.name}: delete it, and make it anew within them"
    for other in beside:
        if (
            other.metadata.name != area.metadata.name
            and other.spec.plane == area.spec.plane
            and _precedes(other, area)
            and other.spec.bounds.overlaps(area.spec.bounds)
        ):
            return f"its bounds overlap those of area {other.metadata.name}: delete one of them"
    return ""


def _precedes(other: AreaObject, area: AreaObject) -> bool:
    if other.status.assignment is not None:
        return True
    return (other.metadata.creation_timestamp or "", other.metadata.name) < (
        area.metadata.creation_timestamp or "",
        area.metadata.name,
    )
