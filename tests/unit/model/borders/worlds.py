"""Worlds of the model whose areas compute their ticks with the product, alone or beside the model."""

from __future__ import annotations

from tests.simulation.models.borders.rules import Rules
from tests.simulation.models.borders.state import Area, Batch, Entity, Inputs, Message
from tests.simulation.models.borders.world import World
from tests.unit.model.borders import product_areas
from tests.unit.model.borders.product_areas import Carried, ProductArea, first_area


class ProductWorld(World):
    """A world that does its worst to the product."""

    def __init__(self, seed: int) -> None:
        super().__init__(Rules(), seed)
        cells = self.map()
        self.areas = {number: first_area(number, cells, 1 + seed % 3) for number in cells}

    def advance(self, before: Area, inputs: Inputs) -> Area:
        assert isinstance(before, ProductArea)
        return product_areas.advance(before, inputs)


class SideBySideWorld(World):
    """A world of the model, in which the product computes every tick as well and is compared."""

    def __init__(self, seed: int) -> None:
        super().__init__(Rules(), seed)
        cells = self.map()
        self.products = {id(self.areas[n]): (self.areas[n], first_area(n, cells, 1 + seed % 3)) for n in cells}
        self.messages: dict[tuple[int, int, int], Carried] = {}

    def advance(self, before: Area, inputs: Inputs) -> Area:
        after = super().advance(before, inputs)
        product = product_areas.advance(self.products[id(before)][1], self._as_product(before.number, inputs))
        compare(after, product)
        committed = {id(area) for area in self.areas.values()}
        self.products = {i: pair for i, pair in self.products.items() if i in committed}
        self.products[id(after)] = (after, product)
        for to, link in product.links.items():
            for sequence, message in link.outbox.items():
                assert isinstance(message, Carried)
                self.messages[after.number, to, sequence] = message
        return after

    def _as_product(self, number: int, inputs: Inputs) -> Inputs:
        arrivals = tuple((area, at, self.messages[area, number, at]) for area, at, _ in inputs.arrivals)
        return inputs._replace(arrivals=arrivals)


def compare(model: Area, product: ProductArea) -> None:
    """Compares all that both remember."""
    assert {i: _plain(model, row) for i, row in model.rows.items()} == {
        i: _plain(model, row) for i, row in product.rows.items()
    }
    assert model.links.keys() == product.links.keys()
    for number, link in model.links.items():
        other = product.links[number]
        assert (link.sent, link.taken) == (other.sent, other.taken)
        assert {at: _message(m) for at, m in link.outbox.items()} == {at: _message(m) for at, m in other.outbox.items()}
        assert link.waiting == other.waiting
    for name in ("version", "map", "clock", "tick", "window", "queue", "applied"):
        assert getattr(model, name) == getattr(product, name), name
    for name in ("born", "died", "sent", "taken", "conflicts"):
        assert getattr(model, name) == getattr(product, name), name
    assert sorted(model.departures) == sorted(product.departures)


def _plain(area: Area, row: Entity) -> Entity:
    """Returns an entity without a version or a tick that says nothing any more."""
    version = row.version if row.version > area.version else 0
    return row._replace(version=version, held_until=row.held_until if row.held_until > area.tick else 0)


def _message(message: Message) -> Message:
    """Returns a message whose groups do not depend on the order of rows and commands."""
    body = message.body
    if isinstance(body, Batch):
        body = Batch(
            tuple(
                group._replace(
                    rows=tuple(sorted(group.rows)), memory=() if body.returned else tuple(sorted(group.memory))
                )
                for group in body.groups
            ),
            body.returned,
        )
    return Message(body, message.clock, message.taken)
