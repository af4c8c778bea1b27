"""What operators ordered about failing engines, as far as the log has it.

A tick may be tried again after each order as if it had never failed, so the number of orders is part of what a failure
belongs to.
"""

from __future__ import annotations

from collections.abc import Container

import msgspec

from pairsim.replication.log.records import Engines, Order, Skip


class Orders(msgspec.Struct, frozen=True, array_like=True):
    """The sum of the records `Skip` and `Engines`; field order is the format in a snapshot.

    Attributes:
        revision: How many of these records the log had; it only grows.
        skipped: The commands that are left out, each after its tick; only those of ticks that may be computed again.
        code: The fingerprint of the simulator's code in force; empty until the first active has named it.
        floor: The tick before the code in force began: it cannot carry on a state from before that tick.
    """

    revision: int = 0
    skipped: tuple[tuple[int, str], ...] = ()
    code: str = ""
    floor: int = 0

    def left_out(self, tick: int) -> frozenset[str]:
        """Returns the ids of the commands that a tick leaves out."""
        return frozenset(command for at, command in self.skipped if at == tick)

    def tick_without(self, command: str) -> int | None:
        """Returns the tick that leaves a command out; None without one, or when it is forgotten."""
        return next((tick for tick, left_out in self.skipped if left_out == command), None)

    def after(self, order: Order, tick: int, commands: Container[str]) -> Orders:
        """Returns the orders after one more record; the same object if the record does not count.

        Args:
            order: The record.
            tick: The last tick that has a record.
            commands: The ids of that tick's commands.
        """
        match order:
            case Skip() if order.tick == tick and order.command in commands:
                if order.command not in self.left_out(tick):
                    skipped = (*self.skipped, (tick, order.command))
                    return msgspec.structs.replace(self, revision=self.revision + 1, skipped=skipped)
            case Engines() if order.tick <= tick + 1:
                floor = order.tick - 1 if self.code not in {"", order.code} else self.floor
                return Orders(self.revision + 1, self.skipped, order.code, floor)
        return self

    def forget(self, tick: int) -> Orders:
        """Returns the orders without those about ticks up to `tick`, whose records are forgotten."""
        kept = tuple(skipped for skipped in self.skipped if skipped[0] > tick)
        return self if len(kept) == len(self.skipped) else msgspec.structs.replace(self, skipped=kept)


def order_sentence(order: Order, before: Orders) -> str:
    """Returns an order that came into force after others as a sentence for people; empty if it changed nothing."""
    match order:
        case Skip():
            return f"command {order.command} of tick {order.tick} is left out, by an order: it is rejected as skipped"
        case Engines() if order.code != before.code and before.code:
            return f"ticks from {order.tick} on are computed with other code of the simulator"
        case Engines() if before.code:
            return f"new engines compute tick {order.tick} and those after it, by an order"
    return ""
