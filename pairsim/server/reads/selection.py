"""A selection of an area's entities as a query names it: a box and some components."""

from __future__ import annotations

import math

import msgspec
from aiohttp import web

from pairsim.model.geometry import Point
from pairsim.protocol.bounds import POSITION, Bounds
from pairsim.replication.service import ReplicaService
from pairsim.server.http.errors import HttpError
from pairsim.server.http.requests import parse_float

_MAX_COMPONENTS = 64


class Selection(msgspec.Struct, frozen=True):
    """A selection of entities and components.

    Attributes:
        box: Selects the entities in it by position; None selects all.
        components: Names in alphabetical order; an empty tuple selects all.
    """

    box: Bounds | None
    components: tuple[str, ...]

    def check(self, service: ReplicaService) -> None:
        """Checks that the process's area has the components that the selection names, and a position if there is a box.

        Raises:
            HttpError: 400, or 503 while this process has no area.
        """
        command_schema = service.command_schema()
        if command_schema is None:
            raise HttpError(503, service.status().without_area)
        schema = command_schema.schema
        for name in self.components:
            if name not in schema:
                raise HttpError(400, f"{name[:40]!a} must be one of this area's components: {', '.join(schema.names)}")
        if self.box is not None and (POSITION not in schema or schema[POSITION].width != 3):
            raise HttpError(400, "entities of this area have no position: leave min and max out")


def parse_selection(request: web.Request) -> Selection:
    """Returns the selection of the query parameters `min`, `max` and `components`.

    Raises:
        HttpError: 400.
    """
    names = [name for name in request.query.get("components", "").split(",") if name]
    if len(names) > _MAX_COMPONENTS:
        raise HttpError(400, f"components names at most {_MAX_COMPONENTS}")
    return Selection(parse_box(request), tuple(sorted(set(names))))


def parse_box(request: web.Request) -> Bounds | None:
    """Returns the box of the query parameters `min` and `max`; None if both are missing.

    Raises:
        HttpError: 400.
    """
    low, high = request.query.get("min"), request.query.get("max")
    if low is None and high is None:
        return None
    if low is None or high is None:
        raise HttpError(400, "a box needs both min=x,y[,z] and max=x,y[,z]")
    box = Bounds(_parse_point(low, "min", -math.inf), _parse_point(high, "max", math.inf))
    if not all(a < b for a, b in zip(box.low, box.high, strict=True)):
        raise HttpError(400, "min must be below max on every axis")
    return box


def _parse_point(text: str, name: str, unbounded: float) -> Point:
    parts = text.split(",", 3)
    if len(parts) not in (2, 3):
        raise HttpError(400, f"{name} must be {name}=x,y or {name}=x,y,z")
    x, y, *rest = (parse_float(part, name) for part in parts)
    return x, y, rest[0] if rest else unbounded
