"""The invariants of the map of a plane, and the sentences about it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pairsim.model.assignment import Member
from pairsim.model.authority import Authority, PlaneMap
from pairsim.model.geometry import Box
from pairsim.model.status import Role
from pairsim_controller.plan.authority import Claim, MapRecord, gap_message, grants, next_map, pause_seconds
from pairsim_controller.plan.fleet_index import DesiredArea
from pairsim_controller.plan.view import GrantAuthority
from tests.unit.controller.builders import BOX, assignment, dead, fleet_index, member, pair, process, replica, spec

WORLD = Box((0.0, 0.0, 0.0), (8.0, 8.0, 8.0))
SLABS = [Box((float(n), 0.0, 0.0), (n + 1.0, 8.0, 8.0)) for n in range(8)]
WIDE = Box((2.0, 0.0, 0.0), (5.0, 8.0, 8.0))
AREAS = [f"area-{n}" for n in range(8)]


class PlaneModel:
    """A plane with its areas, its controller's record, and what each area knows; it checks the invariants."""

    def __init__(self) -> None:
        self.record = MapRecord()
        self.bounds: dict[str, Box] = {}
        self.replicas: dict[str, tuple[Member, ...]] = {}
        self.leads: dict[str, bool] = {}
        self.known: dict[str, Authority] = {}
        self.taken: dict[int, PlaneMap] = {}
        self.numbers: dict[int, tuple[str, int]] = {}
        self.lives = dict.fromkeys(AREAS, 0)

    def claims(self) -> list[Claim]:
        found = []
        for area in sorted(self.known):
            version = self.known[area].version
            status = msgspec.structs.replace(replica(f"{area}-a", assignment("x", "y", "z", area=area), Role.ACTIVE))
            active = msgspec.structs.replace(status, version=version) if self.leads[area] else None
            claim = Claim(
                area=area, world=WORLD, bounds=self.bounds.get(area), replicas=self.replicas.get(area, ()),
                active=active, known=version,
            )  # fmt: skip
            found.append(claim)
        return found

    # --- what happens

    def want(self, area: str, place: int) -> None:
        if area not in self.known:
            self.known[area], self.leads[area] = Authority.before_grants(area), True
            self.lives[area] += 1
            self.bounds[area] = WIDE if place == 5 else SLABS[place]

    def delete(self, area: str, _place: int) -> None:
        self.bounds.pop(area, None)

    def forget(self, area: str, _place: int) -> None:
        if area not in self.bounds:
            self.known.pop(area, None)

    def replace(self, area: str, place: int) -> None:
        self.replicas[area] = (member(f"sim-{place}"), member(f"sim-{place + 1}"))

    def lose(self, area: str, _place: int) -> None:
        self.leads[area] = False

    def lead(self, area: str, _place: int) -> None:
        self.leads[area] = True

    def wipe(self, _area: str, _place: int) -> None:
        """The versions are lost, as in a status that was edited; the numbers are those of other objects."""
        self.record = MapRecord(numbers=self.record.numbers, highest=self.record.highest)

    def look(self, area: str, _place: int) -> None:
        """A controller looks; the area takes its grant, if there is one for it."""
        planned = next_map("plane", self.record, self.claims())
        assert planned.record.version >= self.record.version, "a version goes down"
        assert planned.record.highest >= self.record.highest
        reported = max((authority.version for authority in self.known.values()), default=0)
        assert planned.record.version >= reported, "an area knows what the controller has not decided"
        self.record = planned.record
        made = planned.map
        for cell in made.cells:
            life = cell.area, self.lives[cell.area]
            assert self.numbers.setdefault(cell.number, life) == life, "a number is given twice"
            assert cell.replicas == self.replicas.get(cell.area, ())
        assert {cell.area for cell in made.cells} | {x for x, _ in planned.displaced} == self.bounds.keys()
        sent = {grant.authority.area: grant for grant in grants(made, self.claims())}
        assert sent.keys() == {x for x in self.known if self.leads[x] and self.known[x].version < made.version}
        if area in sent:
            assert sent[area].target == f"{area}-a"
            self.known[area] = sent[area].authority
            assert self.taken.setdefault(made.version, made) == made, "two maps of one version differ"


EVENTS = st.tuples(
    st.sampled_from(["want", "want", "delete", "forget", "replace", "lose", "lead", "wipe", "look", "look", "look"]),
    st.sampled_from(AREAS),
    st.integers(0, 7),
)


@given(st.lists(EVENTS, max_size=40))
@example([("want", "area-0", 2), ("look", "area-0", 0), ("want", "area-1", 5), ("look", "area-1", 0)])
@example([("want", "area-0", 2), ("look", "area-0", 0), ("wipe", "area-0", 0), ("look", "area-0", 0)])
def test_versions_grow_numbers_are_given_once_and_grants_are_repeated_until_they_are_known(
    events: list[tuple[str, str, int]],
) -> None:
    plane = PlaneModel()
    for kind, area, place in events:
        getattr(plane, kind)(area, place)
    plane.look("area-0", 0)
    before = plane.record
    for area in AREAS:
        plane.lead(area, 0)
        plane.look(area, 0)
    assert plane.record == before, "a version is made although nothing changed"
    assert all(authority.version == before.version for authority in plane.known.values())


def claim(area: str, bounds: Box | None, *names: str) -> Claim:
    return Claim(area=area, world=WORLD, bounds=bounds, replicas=tuple(map(member, names)))


def test_a_plane_without_areas_has_no_version() -> None:
    planned = next_map("plane", MapRecord(), [claim("west", None)])
    assert (planned.record, planned.map.version) == (MapRecord(), 0)


def test_new_areas_get_the_next_numbers_by_name_and_a_deleted_one_gives_its_number_up() -> None:
    claims = [claim("west", SLABS[0]), claim("east", SLABS[1])]
    first = next_map("plane", MapRecord(), claims).record
    assert (first.version, first.numbers) == (1, {"east": 1, "west": 2})
    second = next_map("plane", first, [claim("west", None), claims[1]]).record
    assert (second.version, second.numbers, second.highest) == (2, {"east": 1}, 2)
    third = next_map("plane", second, claims).record
    assert (third.version, third.numbers, third.highest) == (3, {"east": 1, "west": 3}, 3)


def test_two_areas_with_one_number_in_an_edited_record_get_two() -> None:
    record = MapRecord(version=4, highest=2, numbers={"east": 2, "west": 2})
    planned = next_map("plane", record, [claim("west", SLABS[0]), claim("east", SLABS[1])])
    assert (planned.record.version, planned.record.numbers) == (5, {"east": 2, "west": 3})


def test_of_two_areas_at_one_place_the_older_one_has_the_cell() -> None:
    record = next_map("plane", MapRecord(), [claim("west", SLABS[3])]).record
    planned = next_map("plane", record, [claim("west", SLABS[3]), claim("east", WIDE)])
    assert [cell.area for cell in planned.map.cells] == ["west"]
    assert planned.displaced == (("east", "west"),)
    assert planned.record == record, "the map has not changed"


def test_a_version_that_an_area_knows_and_the_record_does_not_is_left_behind() -> None:
    known = msgspec.structs.replace(claim("west", SLABS[0]), known=7)
    assert next_map("plane", MapRecord(), [known]).record.version == 8
    assert next_map("plane", MapRecord(version=9), [known]).record.version == 10


def test_a_large_map_makes_the_next_one_wait() -> None:
    boxes = WORLD.split(1000)
    large = [claim(f"area-{n}", box, f"sim-{n}", f"sim-{n + 1000}") for n, box in enumerate(boxes)]
    small, all_of_them = (next_map("plane", MapRecord(), claims) for claims in (large[:64], large))
    assert pause_seconds(small) == 0.2
    assert pause_seconds(all_of_them) > 1


@pytest.mark.parametrize(
    ("cells", "place"),
    [
        ((SLABS[0], *SLABS[2:]), "x in [1, 2)"),
        ((*SLABS[:3], *SLABS[5:]), "x in [3, 5)"),
        ((*SLABS[1:7],), "x in [0, 1) or x in [7, 8)"),
        (SLABS[::2], "x in [1, 2) or x in [3, 4) or x in [5, 6), nor 1 more boxes"),
        ((Box((0.0, 0.0, 0.0), (8.0, 8.0, 5.5)),), "z in [5.5, 8)"),
        ((*SLABS[:7], Box((7.0, 0.0, 0.0), (8.0, 2.0, 8.0))), "x in [7, 8) and y in [2, 8)"),
        ((), "any place"),
    ],
)
def test_places_without_an_area_are_named(cells: tuple[Box, ...], place: str) -> None:
    sentence = f"plane physics: no area has {place}; what moves there stays with the area that it comes from"
    assert gap_message("physics", WORLD, tuple(cells)) == sentence


@pytest.mark.parametrize("parts", [1, 2, 7, 64])
def test_a_plane_that_is_divided_has_no_gap(parts: int) -> None:
    assert gap_message("physics", WORLD, WORLD.split(parts)) == ""


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(1, 3)), max_size=6))
def test_a_gap_is_told_exactly_if_there_is_one(places: list[tuple[int, int, int]]) -> None:
    cells = tuple(
        Box((float(x), float(y), 0.0), (float(min(8, x + s)), float(min(8, y + s)), 8.0)) for x, y, s in places
    )
    covered = {
        (x, y)
        for cell in cells
        for x in range(int(cell.min[0]), int(cell.max[0]))
        for y in range(int(cell.min[1]), int(cell.max[1]))
    }
    assert bool(gap_message("physics", WORLD, cells)) == (len(covered) < 64)


# --- what the fleet index says of the areas of a plane

FIRST = assignment("sim-1", "sim-2", "witness-1")


def test_an_area_claims_its_place_with_its_replicas_and_its_active() -> None:
    (seen,) = fleet_index(*pair(FIRST), recorded=(FIRST,)).claims("plane")
    assert (seen.area, seen.bounds, seen.replicas, seen.known) == ("west", BOX, FIRST.replicas, 0)
    assert seen.active is not None
    assert seen.active.replica == "sim-1"
    assert fleet_index(*pair(FIRST), recorded=(FIRST,)).claims("other") == []


def test_an_area_claims_its_place_before_it_has_a_pair() -> None:
    (seen,) = fleet_index().claims("plane")
    assert (seen.bounds, seen.replicas, seen.active) == (BOX, (), None)


def test_an_area_that_cannot_be_made_claims_nothing_and_one_that_was_made_keeps_its_place() -> None:
    index = fleet_index()
    index.set_desired("west", DesiredArea(spec(), blocked_reason="its bounds overlap those of area east"))
    assert index.claims("plane")[0].bounds is None
    index.set_record("west", FIRST)
    assert index.claims("plane")[0].bounds == BOX


def test_a_deleted_area_claims_nothing_and_still_receives_grants() -> None:
    index = fleet_index(*pair(FIRST), recorded=(FIRST,))
    index.set_desired("west", DesiredArea(None))
    (seen,) = index.claims("plane")
    assert seen.bounds is None
    made = PlaneMap(plane="plane", version=2, cells=())
    assert list(grants(made, [seen])) == [GrantAuthority("sim-1", Authority(area="west", version=2, cells=()))]


def test_a_passive_that_knows_more_than_the_active_counts_and_gets_no_grant() -> None:
    ahead = msgspec.structs.replace(replica("sim-2", FIRST, Role.PASSIVE), version=6)
    (seen,) = fleet_index(dead("sim-1"), process("sim-2", ahead), recorded=(FIRST,)).claims("plane")
    assert (seen.known, seen.active) == (6, None)
    assert list(grants(PlaneMap(plane="plane", version=7, cells=()), [seen])) == []
