"""How well a replica can compute its next tick, as it reports to the other replica.

An engine may raise, hang or end at a tick. The leader hands over to the other replica if that one has the better chance
to compute the tick. Every failure makes the own chance worse, for this very tick, and the other replica learns of it
at once. So the leadership of one tick changes a bounded number of times, and when both replicas have failed the area
pauses. `tests/simulation/models/engine_rules.py` has the rules as a model.
"""

from __future__ import annotations

from collections.abc import Hashable

import msgspec

FAILED = 2
"""The level of a replica whose simulator raised or hung at its next tick, or whose engine ended there twice.

It is also that of a replica whose engine cannot be started, at any tick: it has no better chance than one that failed.
"""

OTHER_CODE = 3
"""The level of a replica whose engine has other code than the one in force: only an order can change that."""


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """The chance of a replica to compute the tick after its state.

    Attributes:
        level: How badly it has failed at that tick: 0 for not at all, 1 for one end of its engine, `FAILED`, or
            `OTHER_CODE`.
        running: Whether its engine runs.
        tick: The tick of its state. Only the states of replicas without a chance are compared.
        revision: The number of orders about engines in its log: an order makes earlier failures void.
        term: The opened term in its log.
        reached: The highest tick that its state is at, or that anybody may have seen of it.
        code: The fingerprint of the code of its engine; empty if that is unknown, and while none runs.
        renewal: On a leader, the number of the order for which it wants an engine beside the one in use; on the other
            replica, the number of the order for which it has one, or could not start one. 0 without an order.
        fresh: The fingerprint of the code of the engine beside the one in use; empty without one.
    """

    level: int = 0
    running: bool = True
    tick: int = 0
    revision: int = 0
    term: int = 0
    reached: int = 0
    code: str = ""
    renewal: int = 0
    fresh: str = ""

    @property
    def able(self) -> bool:
        """Whether nothing keeps the replica from its next tick."""
        return self.level == 0 and self.running

    @property
    def news(self) -> Hashable:
        """The values whose change the other replica has to learn at once."""
        code = self.code, self.renewal, self.fresh
        return self.level, self.running, self.tick, self.revision, self.term, code

    def at(self, term: int, reached: int) -> Standing:
        """Returns the standing of a replica with that opened term, whose state has reached that tick."""
        return msgspec.structs.replace(self, term=term, reached=reached)

    def renewing(self, renewal: int, fresh: str) -> Standing:
        """Returns the standing of a replica that has an engine beside the one in use, or wants one."""
        return msgspec.structs.replace(self, renewal=renewal, fresh=fresh)

    def rank(self, revision: int) -> tuple[int, bool, int, int]:
        """Returns the place in the order of replicas: the one with the smallest rank should lead.

        `revision` is the number of orders in the log. A failure from before the newest order does not count.

        A replica whose engine runs comes before one whose engine starts, even if that one has failed less. When neither
        can compute, the one with the further state comes first: the other one would have nothing to go on from.
        """
        level = self.level if self.revision == revision else 0
        failed, missing = level >= FAILED, level < FAILED and not self.running
        if failed or missing:
            return level if failed else 0, missing, -self.tick, 0
        return 0, False, 0, level


def failed_level(before: int, *, ended: bool) -> int:
    """Returns the level after a failure: one end of an engine may be bad luck, a second one is not.

    Args:
        before: The level before, at the same tick.
        ended: Whether the engine ended by itself; otherwise the simulator's code raised or hung.
    """
    return min(before + 1, FAILED) if ended else FAILED
