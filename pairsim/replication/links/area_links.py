"""All connections of an area's links, while this replica is the active.

The area exchanges entities with the areas whose cells touch its own one, and with those that its state has a link to:
an entity may be set to a far place. A thread keeps a connection to each of them, as the map names their replicas. An
area that left the map is dialled where it was last, until nothing waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Container, Sequence

from pairsim.model.authority import Cell
from pairsim.model.state.schema import Schema
from pairsim.replication.links.board import Board, Posted, other_areas_changed
from pairsim.replication.links.dialling import LinkClient
from pairsim.replication.links.exchange import LinkExchange
from pairsim.replication.links.serving import LinkServer
from pairsim.replication.transport.peer_link import PeerLink
from pairsim.replication.waiting import Wakeup, join
from pairsim.settings import Timing

_JOIN_SECONDS = 5.0


class AreaLinks:
    """The connections of an area in one process."""

    def __init__(
        self, area: str, links: LinkExchange, schema: Schema, *, me: str, secrets: Sequence[bytes], timing: Timing
    ) -> None:
        """Starts the threads.

        Args:
            area: The name of the area.
            links: The links of its replica here.
            schema: The components of its entities.
            me: The name of this process.
            secrets: The secrets of the world, in the order in which they are tried.
            timing: The limits of a connection attempt and the pause between two.
        """
        self._links, self._me, self._secrets, self._timing = links, me, tuple(secrets), timing
        self._server = LinkServer(area, links.board, links.arrivals, schema)
        self._clients: dict[int, LinkClient] = {}
        self._closed, self._awake = False, Wakeup()
        links.board.watch(self._awake, other_areas_changed)
        self._thread = threading.Thread(target=self._run, name="links", daemon=True)
        self._thread.start()

    @property
    def active(self) -> bool:
        """Whether this replica is the active, which alone takes connections."""
        return self._links.board.posted.term != 0

    def serve(self, link: PeerLink) -> None:
        """Serves a connection of another area until it breaks; blocks."""
        self._server.serve(link)

    def close(self) -> None:
        """Ends all connections and threads."""
        self._closed = True
        self._awake.set()
        join(self._thread, _JOIN_SECONDS)
        self._server.close()

    def _run(self) -> None:
        board = self._links.board
        while not self._closed:
            self._connect(board)
            self._awake.wait()
            self._awake.clear()
        board.unwatch(self._awake)
        self._connect_to({})

    def _connect(self, board: Board) -> None:
        posted = board.posted
        self._connect_to(areas_to_dial(posted, self._clients) if posted.term else {})

    def _connect_to(self, wanted: dict[int, Cell | None]) -> None:
        """Begins, redirects and ends connections; an area that has no cell is dialled where it was."""
        for number in self._clients.keys() - wanted.keys():
            self._clients.pop(number).close()
        for number, cell in wanted.items():
            client = self._clients.get(number)
            if client is not None:
                if cell is not None:
                    client.redirect(cell)
            elif cell is not None:
                self._clients[number] = LinkClient(
                    cell, self._links.board, self._links.arrivals,
                    me=self._me, secrets=self._secrets, timing=self._timing,
                )  # fmt: skip
        self._links.connections = dict(self._clients)


def areas_to_dial(posted: Posted, dialled: Container[int]) -> dict[int, Cell | None]:
    """Returns the areas to exchange entities with, by number; None for the cell of an area that left the map."""
    cells = posted.map
    wanted: dict[int, Cell | None] = {cell.number: cell for cell in cells.neighbours(posted.number)}
    for number in posted.links:
        cell = cells.cell(number)
        if cell is not None or number in dialled:
            wanted[number] = cell
    return wanted
