"""How well a replica can compute its next tick, as it reports to the other replica.

An engine may raise, hang or end at a tick. The leader hands over to the other replica if that one has the better chance
to compute the tick. Every failure makes the own chance worse, for this very tick, and the other replica learns of it
at once. So the leadership of one tick changes a bounded number of times, and when both replicas have failed the area
pauses. `tests/simulation/models/engine_rules.py` has the rules as a model.
"""

from __future__ import annotations

import msgspec

FAILED = 2
"""The level of a replica whose simulator raised or hung at its next tick, or whose engine ended there twice."""


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """The chance of a replica to compute the tick after its state.

    Attributes:
        level: How badly it has failed at that tick: 0 for not at all, 1 for one end of its engine, `FAILED` or more.
        running: Whether its engine runs.
        tick: The tick of its state. Only the states of replicas without a chance are compared.
    """

    level: int = 0
    running: bool = True
    tick: int = 0

    @property
    def rank(self) -> tuple[int, bool, int, int]:
        """The order of replicas: the one with the smallest rank should lead.

        A replica whose engine runs comes before one whose engine starts, even if that one has failed less. When neither
        can compute, the one with the further state comes first: the other one would have nothing to go on from.
        """
        failed, missing = self.level >= FAILED, self.level < FAILED and not self.running
        if failed or missing:
            return FAILED if failed else 0, missing, -self.tick, 0
        return 0, False, 0, self.level


def failed_level(before: int, *, ended: bool) -> int:
    """Returns the level after a failure: one end of an engine may be bad luck, a second one is not.

    Args:
        before: The level before, at the same tick.
        ended: Whether the engine ended by itself; otherwise the simulator's code raised or hung.
    """
    return min(before + 1, FAILED) if ended else FAILED
