"""The spares at hand, so that a decision finds a few on unlike machines without looking at all of them."""

from __future__ import annotations

import bisect
import heapq

_NODES = 4
_EACH = 2


class SparePool:
    """Names of spares by their machine; sans-I/O."""

    def __init__(self) -> None:
        self._node: dict[str, str] = {}
        self._names: dict[str, list[str]] = {}

    def __len__(self) -> int:
        return len(self._node)

    def add(self, name: str, node: str) -> bool:
        """Puts a spare in; whether it was not there."""
        if self._node.get(name) == node:
            return False
        self.discard(name)
        self._node[name] = node
        bisect.insort(self._names.setdefault(node, []), name)
        return True

    def discard(self, name: str) -> None:
        """Takes one out, if it is there."""
        node = self._node.pop(name, None)
        if node is None:
            return
        names = self._names[node]
        del names[bisect.bisect_left(names, name)]
        if not names:
            del self._names[node]

    def offer(self) -> list[str]:
        """Some of them, from the machines that have the most.

        Two from each of four machines: whichever two machines a pair and its witness use already, two others are
        among them if there are any.
        """
        nodes = heapq.nsmallest(_NODES, self._names, key=lambda node: (-len(self._names[node]), node))
        return [name for node in nodes for name in self._names[node][:_EACH]]
