"""An active keeps a connection to each area that it exchanges entities with."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import cast

import pytest

from pairsim.model.authority import Cell
from pairsim.model.borders import AreaMap
from pairsim.model.geometry import Box
from pairsim.replication.links import area_links
from pairsim.replication.links.area_links import AreaLinks
from pairsim.replication.links.board import LinkState, Posted
from pairsim.replication.links.exchange import LinkExchange
from pairsim.settings import Timing
from tests.unit.replication.tables import SCHEMA
from tests.unit.replication.transport.peers import until

NO_LINK = cast("LinkState", None)


def cell(number: int, x: float) -> Cell:
    return Cell(number=number, area=f"area-{number}", bounds=Box((x, 0.0, 0.0), (x + 1.0, 1.0, 1.0)))


NEAR, FAR = cell(2, 1.0), cell(3, 5.0)
MAP = AreaMap(1, (cell(1, 0.0), NEAR, FAR))


class FakeClient:
    """A client that notes where it is directed."""

    def __init__(self, destination: Cell, *_arguments: object, **_more: object) -> None:
        self.destination, self.closed = destination, False

    def redirect(self, destination: Cell) -> None:
        self.destination = destination

    def close(self) -> None:
        self.closed = True


class Links:
    """The links of area 1, with clients that connect to nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[FakeClient] = []
        self.lock = threading.Lock()
        monkeypatch.setattr(area_links, "LinkClient", self._make)
        self.exchange, self.clock = LinkExchange(lambda: cast("None", SimpleNamespace(links={}))), 0  # type: ignore[arg-type]
        self.links = AreaLinks("area-1", self.exchange, SCHEMA, me="a", secrets=(), timing=Timing())

    def _make(self, destination: Cell, *arguments: object, **more: object) -> FakeClient:
        client = FakeClient(destination, *arguments, **more)
        with self.lock:
            self.made.append(client)
        return client

    def post(self, known: AreaMap, *linked: int, term: int = 1) -> None:
        self.clock += 1
        self.exchange.board.post(Posted(term, self.clock, 1, known, dict.fromkeys(linked, NO_LINK)))

    def dialled(self, *cells: Cell) -> None:
        """Waits until exactly these cells are dialled."""

        def reached() -> bool:
            with self.lock:
                now = sorted(c.destination.number for c in self.made if not c.closed)
                known = [c.destination for c in self.made if not c.closed]
            return now == sorted(c.number for c in cells) and all(c in known for c in cells)

        until(reached)


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch) -> Links:
    monkeypatch.setattr(Posted, "outbox", lambda _self, _number: None, raising=True)
    return Links(monkeypatch)


def test_it_dials_its_neighbours_and_the_areas_of_its_links(links: Links) -> None:
    links.post(MAP)
    links.dialled(NEAR)
    links.post(MAP, 3)
    links.dialled(NEAR, FAR)
    links.links.close()
    links.dialled()


def test_it_dials_nothing_outside_of_a_leadership(links: Links) -> None:
    assert not links.links.active
    links.post(MAP)
    links.dialled(NEAR)
    assert links.links.active
    links.exchange.end()
    links.dialled()
    assert not links.links.active
    links.post(MAP, term=3)
    links.dialled(NEAR)
    links.links.close()


def test_a_new_map_redirects_and_an_area_that_left_it_is_dialled_where_it_was(links: Links) -> None:
    links.post(MAP, 3)
    links.dialled(NEAR, FAR)
    moved = cell(3, 7.0)
    links.post(AreaMap(2, (cell(1, 0.0), moved)), 3)
    links.dialled(moved)
    links.post(AreaMap(3, (cell(1, 0.0),)), 3, 4)
    links.dialled(moved)
    links.post(AreaMap(4, (cell(1, 0.0),)))
    links.dialled()
    links.links.close()


def test_the_status_names_the_areas_that_are_dialled(links: Links) -> None:
    links.post(MAP, 3)
    links.dialled(NEAR, FAR)
    until(lambda: links.exchange.connections.keys() == {NEAR.number, FAR.number})
    links.post(MAP)
    until(lambda: links.exchange.connections.keys() == {NEAR.number})
    links.links.close()
    until(lambda: not links.exchange.connections)
