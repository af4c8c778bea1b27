"""Areas, members and assignments for tests: every field has a default, and a test names only what it is about.

area("north", tick_rate=10.0)
assignment("a", "b", "w")
assignment("a", "c", "w", generation=2, joins=("c",))
assignment(node.member, "b", "w", spec=area("south"))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment, Member
from pairsim.model.geometry import Box

PEER_PORT, HTTP_PORT = 1, 2


def cube(side: float) -> Box:
    """Returns a cube with one corner at the origin."""
    return Box(min=(0.0, 0.0, 0.0), max=(side, side, side))


def area(name: str = "north", *, bounds: Box = cube(10.0), **changes: Any) -> AreaSpec:  # noqa: B008 - it is frozen
    """Returns an area that fills its world, unless `changes` say otherwise; they are fields of `AreaSpec`."""
    fields: dict[str, Any] = {"plane": "physics", "simulator": "physics", "world": bounds} | changes
    return AreaSpec(area=name, bounds=bounds, **fields)


def member(name: str, *, peer: str | None = None, url: str | None = None) -> Member:
    """Returns a member with addresses that are made of its name, so that no two members share one."""
    return Member(replica=name, peer=peer or f"{name}:{PEER_PORT}", url=url or f"http://{name}:{HTTP_PORT}")


def local_member(name: str, port: int) -> Member:
    """Returns a member whose peer port is on loopback; nothing listens there unless the test starts it."""
    return member(name, peer=f"127.0.0.1:{port}")


def assignment(
    *members: str | Member, spec: AreaSpec | None = None, generation: int = 1, joins: Sequence[str] = ()
) -> Assignment:
    """Returns an assignment of two replicas and a witness, given in this order; the default is `a`, `b` and `w`."""
    first, second, witness = (member(m) if isinstance(m, str) else m for m in members or ("a", "b", "w"))
    return Assignment(
        spec=spec or area(), generation=generation, replicas=(first, second), witness=witness, joins=tuple(joins)
    )
