"""A request of an operator about the engine of an area, from its begin to its outcome."""

from __future__ import annotations

from pairsim.replication.log.records import Order
from pairsim.replication.service import OrderResult
from pairsim.replication.waiting import Wakeup


class OrderRequest:
    """A request of an operator; the replica thread finishes it, any thread waits for that.

    Attributes:
        command: The id of the command to leave out; None to start the engines again.
        even_if_seen: Whether mended code may compute a tick that clients may have seen.
        restarted: Whether the engine is being started for it.
        renewal: Its number, if it renews the engines of an area that runs; else 0.
        ready_at: When the leader's fresh engine was ready; None before that.
        holds: Whether no tick may begin until it is done.
        record: Its record; None before it is submitted.
        result: The answer when the record is in force.
        revision: The number of orders in the log when the record came into force; 0 before that.
        withdrawn: Whether nobody waits for it any more; it is not submitted then.
        outcome: The order that is in force, or why it is not; None before that is known.
        finished: Set when the outcome is known.
    """

    def __init__(self, command: str | None, *, even_if_seen: bool = False) -> None:
        self.command, self.even_if_seen = command, even_if_seen
        self.restarted = self.withdrawn = False
        self.renewal, self.holds = 0, False
        self.ready_at: float | None = None
        self.record: Order | None = None
        self.result = OrderResult(0, 0, 0)
        self.revision = 0
        self.outcome: OrderResult | Exception | None = None
        self.finished = Wakeup()
