"""Rules about engines with one fault each, and the worlds and ways in which the fault shows."""

from __future__ import annotations

from typing import NamedTuple

from tests.simulation.models.engine_failures import Model
from tests.simulation.models.engine_rules import (
    FAILED,
    OTHER_CODE,
    Facts,
    Failure,
    Node,
    Ping,
    Rank,
    Rules,
    Skip,
    State,
)
from tests.simulation.models.pair import Action, Budget, World


class Setting(NamedTuple):
    """A configuration of the model."""

    commands: tuple[str, ...]
    ticks: int
    ahead: int
    budget: Budget

    def begin(self, rules: Rules) -> tuple[Model, World]:
        """Returns the model with these rules, and its first world."""
        model = Model(rules, commands=self.commands, ticks=self.ticks, ahead=self.ahead)
        return model, model.start(self.budget)


class PublishesTheTornTable(Rules):
    def readable(self, node: Node) -> State:
        return node.table


class RetriesWithoutRestoring(Rules):
    def restored(self, node: Node, known: Facts) -> tuple[State, State]:
        return node.table, node.snapshot


class ReplaysWithoutACopy(Rules):
    def restored(self, node: Node, known: Facts) -> tuple[State, State]:
        replayed = node.leads > 1 and node.next_tick <= known.tick
        return (node.table, node.table) if replayed else (node.snapshot, node.snapshot)


class SkipsOnOneReplicaOnly(Rules):
    def left_out(self, i: int, node: Node, known: Facts) -> frozenset[str]:
        return super().left_out(i, node, known) if i == 0 else frozenset()


class SkipsInATickThatWasSeen(Rules):
    def unseen(self, node: Node, tick: int) -> bool:
        return True


class SkipsBecauseOfAPingOfAnEarlierTerm(Rules):
    def unseen(self, node: Node, tick: int) -> bool:
        return node.shown < tick and node.heard is not None and node.heard.reached < tick


class SkipsInATickThatIsNotTheLast(Rules):
    def skippable(self, known: Facts, tick: int) -> bool:
        return tick <= known.tick


class SkipsBeforeTheCommit(Rules):
    def left_out(self, i: int, node: Node, known: Facts) -> frozenset[str]:
        return super().left_out(i, node, known) | {r.command for r in node.pending if isinstance(r, Skip)}

    def may_compute(self, node: Node) -> bool:
        return node.request is None


class TriesAgainWhileASkipIsUnderWay(Rules):
    def may_compute(self, node: Node) -> bool:
        return node.request is None


class SkipsWhileTheTickIsTriedAgain(Rules):
    def settled(self, node: Node) -> bool:
        return not node.pending


class ForgetsWhatItShowed(Rules):
    def remembers_shown(self) -> bool:
        return False


class AdoptsAnAnswerOfALostLeadership(Rules):
    def adopts_late_answer(self) -> bool:
        return True


class AcknowledgesAtTheCommit(Rules):
    def acknowledges_at_commit(self) -> bool:
        return True


class RunsASkippedCommandLater(Rules):
    def known_ids(self, known: Facts) -> frozenset[str]:
        return super().known_ids(known) - {command for _, command in known.skipped}


class PausesForOneCrash(Rules):
    def failed(self, before: int, kind: str) -> int:
        return FAILED


class HandsOverToAReplicaThatFailed(Rules):
    def prefers(self, own: Ping, peer: Ping, revision: int) -> bool:
        return self.rank(own, revision)[0] == FAILED or super().prefers(own, peer, revision)


class ForgetsAFailureWithItsEngine(Rules):
    def remembers_failures(self) -> bool:
        return False


class IgnoresAFailureAfterTheLeadership(Rules):
    def counts_late_failures(self) -> bool:
        return False


class RemembersAFailureOverARestart(Rules):
    def level(self, failure: Failure, tick: int, revision: int) -> int:
        return failure.level if failure.tick == tick else 0


class NeverTriesAgain(Rules):
    def retries(self) -> bool:
        return False


class KeepsTheLeadWithoutAnEngine(Rules):
    def rank(self, ping: Ping, revision: int) -> Rank:
        rank = super().rank(ping, revision)
        return rank._replace(missing=False, behind=rank.behind if rank.failed else 0)


class KeepsTheLeadBehindTheOther(Rules):
    def rank(self, ping: Ping, revision: int) -> Rank:
        return super().rank(ping, revision)._replace(behind=0)


class WaitsForTheEngineOfTheOther(Rules):
    def prefers(self, own: Ping, peer: Ping, revision: int) -> bool:
        mine, theirs = self.rank(own, revision), self.rank(peer, revision)
        return (theirs.failed, theirs.crashes, theirs.missing) < (mine.failed, mine.crashes, mine.missing)


class ComputesWithAnyCode(Rules):
    def usable(self, node: Node, known: Facts) -> bool:
        return node.engine and self.capable(node, known)


class RanksOtherCodeLikeAFailure(Rules):
    def rank(self, ping: Ping, revision: int) -> Rank:
        rank = super().rank(ping, revision)
        return rank._replace(failed=FAILED) if rank.failed == OTHER_CODE else rank


class ReplaysAcrossAChangeOfCode(Rules):
    def capable(self, node: Node, known: Facts) -> bool:
        return True


class ChangesTheCodeOfATickThatWasSeen(Rules):
    def may_restart(self, node: Node, known: Facts, code: int) -> bool:
        return self.settled(node) and node.next_tick >= known.tick and len(node.checkpoint) >= node.next_tick - 1


class ChangesTheCodeWithoutACheckpoint(Rules):
    def may_restart(self, node: Node, known: Facts, code: int) -> bool:
        durable = node._replace(checkpoint=node.snapshot)
        return super().may_restart(durable, known, code)


_FAILURES_AND_AN_ELECTION = Setting(("good",), 1, 1, Budget(failures=4, elections=1))
_FAILURES_OF_TWO_TICKS = Setting(("good",), 2, 2, Budget(failures=4, kills=1, elections=1))
_ANOTHER_CODE = Setting(("good",), 1, 1, Budget(failures=2, kills=1, elections=1, edits=1, restarts=1))
_ANOTHER_CODE_AND_A_KILL = Setting(("good",), 1, 1, Budget(failures=1, kills=1, edits=1, restarts=1))

SETTINGS: dict[type[Rules], Setting] = {
    SkipsOnOneReplicaOnly: Setting(("good",), 1, 1, Budget(failures=2)),
    SkipsBecauseOfAPingOfAnEarlierTerm: _FAILURES_OF_TWO_TICKS,
    SkipsBeforeTheCommit: _FAILURES_AND_AN_ELECTION,
    NeverTriesAgain: _FAILURES_AND_AN_ELECTION,
    RanksOtherCodeLikeAFailure: Setting(("good",), 1, 1, Budget(failures=1, elections=1, updates=1)),
    ReplaysAcrossAChangeOfCode: _ANOTHER_CODE,
    ChangesTheCodeWithoutACheckpoint: _ANOTHER_CODE_AND_A_KILL,
}
"""Where random walks find a fault that they find in few of all settings."""

WAYS: dict[type[Rules], tuple[Setting, list[Action]]] = {
    SkipsInATickThatIsNotTheLast: (
        _FAILURES_OF_TWO_TICKS,
        [
            ("begin", 0, ("good",)), ("answer", 0), ("begin", 0, ()), ("kill", 0, True), ("boot", 0), ("start", 0),
            ("elect", 1, False), ("elect", 0, False), ("crash", 1), ("learn", 1), ("compute", 0), ("raise", 0),
            ("ping", 1), ("skip", 0, "good"),
        ],
    ),
    TriesAgainWhileASkipIsUnderWay: (
        _FAILURES_OF_TWO_TICKS,
        [
            ("perceive_raises", 0), ("ping", 1), ("hand_over", 0), ("learn", 0), ("begin", 1, ("good",)), ("raise", 1),
            ("commit", 1), ("start", 1), ("ping", 0), ("skip", 1, "good"), ("retry", 1), ("commit", 1),
            ("elect", 0, False), ("answer", 1),
        ],
    ),
    SkipsWhileTheTickIsTriedAgain: (
        _FAILURES_AND_AN_ELECTION,
        [
            ("elect", 1, False), ("perceive_raises", 0), ("begin", 1, ("good",)), ("raise", 1), ("commit", 1),
            ("start", 1), ("retry", 1), ("learn", 0), ("ping", 0), ("skip", 1, "good"), ("start", 0), ("ping", 0),
            ("answer", 1), ("commit", 1), ("crash", 1), ("hand_over", 1),
        ],
    ),
    IgnoresAFailureAfterTheLeadership: (
        Setting(("crashes",), 1, 1, Budget()),
        [
            ("begin", 0, ("crashes",)), ("crash", 0), ("start", 0), ("commit", 0), ("ping", 1), ("hand_over", 0),
            ("compute", 1), ("crash", 1), ("ping", 1), ("compute", 0), ("hand_over", 1), ("crash", 0), ("start", 1),
            ("compute", 1), ("ping", 1), ("hand_over", 0), ("start", 0), ("compute", 0), ("ping", 0), ("crash", 1),
            ("hand_over", 1), ("crash", 0), ("start", 1), ("compute", 1), ("ping", 1), ("hand_over", 0), ("start", 0),
            ("compute", 0), ("ping", 0), ("crash", 0), ("crash", 1), ("hand_over", 1), ("hand_over", 0),
        ],
    ),
    WaitsForTheEngineOfTheOther: (
        Setting(("raises",), 1, 1, Budget(failures=1)),
        [
            ("begin", 0, ("raises",)), ("raise", 0), ("start", 0), ("commit", 0), ("ping", 1), ("hand_over", 0),
            ("learn", 0), ("ping", 0), ("compute", 1), ("raise", 1), ("skip", 1, "raises"), ("commit", 1),
            ("hand_over", 1), ("compute", 0), ("crash", 0), ("start", 0), ("learn", 1),
        ],
    ),
    KeepsTheLeadWithoutAnEngine: (
        Setting(("good",), 1, 1, Budget(failures=1)),
        [("begin", 0, ()), ("commit", 0), ("answer", 0), ("crash", 0), ("learn", 1), ("frame", 1), ("ping", 1)],
    ),
}  # fmt: skip
"""The ways on which the search found the faults that random walks seldom find."""
