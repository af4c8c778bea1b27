"""The spares by machine, so that a decision finds a few on different machines without a search through all of them."""

from __future__ import annotations

import bisect
import heapq

_MACHINES = 4
_SPARES_PER_MACHINE = 2


class SparePool:
    """The names of all spares, grouped by the machine that they run on; does no I/O."""

    def __init__(self) -> None:
        self._node: dict[str, str] = {}
        self._names: dict[str, list[str]] = {}

    def __len__(self) -> int:
        return len(self._node)

    def add(self, name: str, node: str) -> bool:
        """Adds a spare, or moves it to another machine; returns whether the pool changed."""
        if self._node.get(name) == node:
            return False
        self.discard(name)
        self._node[name] = node
        bisect.insort(self._names.setdefault(node, []), name)
        return True

    def discard(self, name: str) -> None:
        """Removes a spare if the pool has it."""
        node = self._node.pop(name, None)
        if node is None:
            return
        names = self._names[node]
        del names[bisect.bisect_left(names, name)]
        if not names:
            del self._names[node]

    def candidates(self) -> list[str]:
        """Returns at most eight spares, from the machines that have the most of them.

        Two from each of four machines are enough: a pair and its witness use at most two machines already, so two other
        machines are among the four if there are any.
        """
        nodes = heapq.nsmallest(_MACHINES, self._names, key=lambda node: (-len(self._names[node]), node))
        return [name for node in nodes for name in self._names[node][:_SPARES_PER_MACHINE]]
