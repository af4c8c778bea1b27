"""The processes of a trial: their names and addresses, the same for who makes pods and for who answers as them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pairsim_controller.plan.view import Kind

_NODES = 60
_PEER = 7946


class Place(NamedTuple):
    """A process, and where it is."""

    kind: Kind
    name: str
    address: str
    node: str

    @property
    def peer(self) -> str:
        """The address for its peers, which no process uses."""
        return f"{self.address}:{_PEER}"


def places(simulators: int, witnesses: int) -> Iterator[Place]:
    """All of them; more of a kind begin with the same ones."""
    for kind, count, network in ((Kind.WITNESS, witnesses, 20), (Kind.SIMULATOR, simulators, 40)):
        for i in range(count):
            address = f"127.{network}.{i // 250}.{i % 250 + 1}"
            yield Place(kind, f"pairsim-{kind}-6d5f8c7b9-{i:05d}", address, f"node-{i % _NODES}")
