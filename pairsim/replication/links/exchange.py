"""Between the links of an area's state and its connections: what the state posts, and what a tick takes in.

Both are functions. The active calls `posted_links` with each committed state, and `border_inputs` for each record.
"""

from __future__ import annotations

from pairsim.model.authority import Authority
from pairsim.model.borders import BorderInputs, BorderState, acknowledgement
from pairsim.replication.links.arrivals import MAX_RECORD_BYTES, Arrivals
from pairsim.replication.links.board import LinkState, Posted
from pairsim.replication.links.outbox import Outbox


def posted_links(state: BorderState, term: int, before: Posted) -> Posted:
    """Returns the links of a committed state.

    Args:
        state: The state.
        term: The term of the leadership that posts them.
        before: What was posted before; an outbox that did not change is taken from it.
    """
    links = {}
    for number, link in state.links.items():
        outbox = before.outbox(number)
        if (outbox.first, outbox.last) != (link.acknowledged + 1, link.sent):
            outbox = Outbox(link.acknowledged + 1, tuple(link.outbox.values()))
        links[number] = LinkState(outbox, acknowledgement(state, number))
    return Posted(term, state.clock, links)


def border_inputs(
    arrivals: Arrivals, grants: tuple[Authority, ...], *, room: int, limit: int = MAX_RECORD_BYTES
) -> BorderInputs:
    """Returns what the next tick takes in over borders.

    Args:
        arrivals: What waits for a tick.
        grants: Authorities that were granted.
        room: How many entities the table may have.
        limit: The most bytes of entries in the record; a single entry may be larger.
    """
    acknowledgements = tuple(arrivals.take_acknowledgements().items())
    return BorderInputs((), grants, acknowledgements, tuple(arrivals.take(limit)), room)
