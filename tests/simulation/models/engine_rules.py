"""What a node does about its engine: the rules, as data and as the decisions of `Rules`.

A pair has two replicas. Each is a node, which has the vote, the disk and the clients, and an engine, which computes
ticks and may raise, hang, die or be slow. Tick n is computed from state n - 1 and record n. `engine_failures.py` is the
pair that lives by these rules, and everything that can happen to it.

What the node does about its engine:

 1. Turns. From a request to its answer the live table is torn. Readers, observers, the state stream and checkpoints of
    an active see the newest snapshot, never the table. After every failure the node restores the table from the newest
    snapshot before it does anything else. A replica that replays record n keeps state n - 1 in the same way: as a
    copy, or as its checkpoint and the records after it.
 2. Failures. An engine that raised or hung is ended like one that crashed, and a new one is started at once. The node
    remembers the failure, not the engine. A failure of `perceive` before record n counts as a failure of tick n. A
    crash between two requests is no failure of a tick.
 3. Attempts. An attempt is (tick, revision); the revision is the number of `Skip` and `Engines` records in the log, it
    is never reset, and the log's snapshot holds it. A node keeps `Failure(tick, revision, level)` of its newest failed
    attempt: level 2 (`FAILED`) after an exception or a hang, one more after a crash. It counts for this very attempt
    only, even if the leadership that asked is over, and is forgotten when the tick succeeds here or the process ends.
 4. Pings carry `term` (opened in the own log), `tick` (of the newest snapshot), `reached` (the highest of the shown
    tick and the state's tick, confirmed or not), `durable` (of the checkpoint), `capable` (rule 9), `engine` (it runs),
    `failure` and `code`. A change is sent at once, and on the same link before a transfer of leadership. A ping is
    composed under the lock that showing a tick needs.
 5. Shown. Before the first answer, observation, read or checkpoint of a tick, its number is written to a small mapped
    file in the area's folder. So it survives the process, as the journal does.
 6. Leading needs a state, not an engine: a replica whose engine starts opens its term and serves reads meanwhile. So
    does one whose engine could not be started at all: a process that boots joins, or goes on, without an engine.
 7. Rank. The rank of a replica is a tuple: its level, if it is 2 or more, else 0; whether its engine is missing; minus
    its tick, if it cannot compute for one of these reasons, else 0; its level otherwise. An engine
    that could not be started is at level 2 in every attempt, until a start succeeds. One with other code than that in
    force is at level 3, since another attempt may help at level 2, and only an order here; a state that is not capable
    is at level 4. A leader hands over if and only if the other replica is
    linked, capable and of a smaller rank, at rest: no request and no uncommitted record. So a first crash and an
    idle crash are handed over at once, an exception as well, and a replica that failed for good never gets the
    leadership back for the same attempt, unless it has the further state. Otherwise the leader tries the tick
    itself when its engine runs: it does not wait for an engine that the other replica is starting.
 8. Pause. A leader at level 2 or more that cannot hand over is paused at its snapshot, n - 1. It leads, serves n - 1,
    takes no commands into a tick, and says why. It tries again after 1, 2, 4 ... 60 s, for most causes pass. Each new
    ping may end the pause by a handover.
 9. Code. The log names the code in force, a fingerprint of the engine's files. `Engines(tick, code)` changes it: ticks
    from `tick` on are computed with this code. If the code differs, states before tick - 1 cannot be replayed any more,
    and their replicas need a keyframe; they are not *capable*. An engine with other code computes nothing, whenever it
    started: after a mended file, in a process that was updated, in one that joined. Its replica votes and follows. A
    leader looks again after its `Open` is applied, since an `Engines` of its predecessor may stand before it.
10. Unseen. The leader of term T knows that nobody has seen tick n, and that nobody can see it before T ends, if its own
    shown tick is below n, and a ping of the other replica with `term` T has `reached` below n. A silent replica has to
    come back, or be replaced, first.
11. `pairsim skip AREA COMMAND` appends `Skip(n, command)`. The leader accepts it while it is at level 2 of attempt n,
    without a request and without an uncommitted record, if n is the last tick with a record, the record has the
    command, and n is unseen.
12. `pairsim engines restart AREA` starts an engine beside the leader's, to learn the code in its files, and appends
    `Engines(n, code)`, where n is the tick after its snapshot. If its files have the code in force and the other
    replica's engine has other code, it is that code: a rolling update has come to the other replica first, which
    is handed the leadership then (rule 7). Without a request and an uncommitted record the order is always accepted
    for the code in force. For other code n has to be unseen if it has a record, that record has to be the last, and
    state n - 1 has to be on the leader's disk: other code changes a tick as much as a skip does. The leader asks the
    other replica for an engine beside its own as well, and waits for it for a while. On applying the record each node
    uses the engine that it started so, or starts its engine again if its code differs; one whose checkpoint is before
    n - 1 writes another one at once. The first leader of an area appends `Engines(1, code)`.
13. A record counts when it is committed. While `Skip` or `Engines` is under way, nothing is computed. A replica that
    computes tick n afterwards compares its digest of n - 1 with record n, leaves out the skipped commands of n, and
    rejects them as "skipped".
14. End of a leadership. When its log shows a later `Open`, a replica drops its records, and the answer of a request
    under way is worthless: it waits for the answer or the limit, and restores the table. A state beyond the log's tick
    at that `Open` is invalid; any other stands. No state has to be dropped because of a `Skip`.
15. Outcomes. A command is answered when its tick is computed and committed. The ids of a committed record stay in the
    window, skipped or not, so a command that is sent again gets the one outcome and never runs later.

Limits. A replica that lost its disk has forgotten what it showed. Records whose ticks were seen, with no state left and
other code in the file, can be computed again only by an order that gives up continuity.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

FAILED = 2
"""The level of a replica whose engine raised, hung, or crashed for the second time at the same attempt."""

OTHER_CODE = 3
"""The level of a replica whose engine has other code than the one in force; only an order can change that."""

INCAPABLE = 4
"""The level of a replica whose state the engines in force cannot carry on to the last tick."""


class Entry(NamedTuple):
    """One computed tick of a state: the commands that it applied, those that it left out, and the code."""

    applied: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    code: int = 0


TORN = Entry(("torn",))
"""A tick that an engine began to write, and did not finish."""

State = tuple[Entry, ...]
"""A state of the area is all that was computed in it; its length is its tick."""


class Open(NamedTuple):
    """A term begins."""

    term: int


class Tick(NamedTuple):
    """The input of a tick, and the state before it, which stands for its digest."""

    tick: int
    commands: tuple[str, ...]
    before: State


class Skip(NamedTuple):
    """An operator leaves a command out of the last tick, which nobody has seen."""

    tick: int
    command: str


class Engines(NamedTuple):
    """From this tick on, engines with this code compute; what was tried before is void."""

    tick: int
    code: int


Record = Open | Tick | Skip | Engines


class Facts(NamedTuple):
    """What a prefix of the log says. `revision` counts its `Skip` and `Engines` records."""

    term: int = 0
    ticks: tuple[tuple[str, ...], ...] = ()
    before: tuple[State, ...] = ()
    skipped: frozenset[tuple[int, str]] = frozenset()
    code: int = 0
    revision: int = 0
    replay_floor: int = 0

    @property
    def tick(self) -> int:
        """The last tick that has a record."""
        return len(self.ticks)


@functools.lru_cache(maxsize=100_000)
def facts(log: tuple[Record, ...]) -> Facts:
    """Returns what a prefix of the log says."""
    known = Facts()
    for record in log:
        match record:
            case Open():
                known = known._replace(term=record.term)
            case Tick():
                known = known._replace(ticks=(*known.ticks, record.commands), before=(*known.before, record.before))
            case Skip():
                skipped = known.skipped | {(record.tick, record.command)}
                known = known._replace(skipped=skipped, revision=known.revision + 1)
            case Engines():
                floor = known.replay_floor if record.code == known.code else record.tick - 1
                known = known._replace(code=record.code, revision=known.revision + 1, replay_floor=floor)
    return known


class Failure(NamedTuple):
    """The newest attempt that failed here: of a tick, after so many `Skip` and `Engines` records, how badly."""

    tick: int = 0
    revision: int = 0
    level: int = 0


class Request(NamedTuple):
    """What an engine computes, and what the tick will be if it succeeds."""

    tick: int
    revision: int
    entry: Entry


class Ping(NamedTuple):
    """What a replica tells the other one about its engine and its state."""

    term: int
    tick: int
    reached: int
    durable: int
    capable: bool
    engine: bool
    code: int
    failure: Failure


class Rank(NamedTuple):
    """How badly a replica is placed to compute its next tick; the first difference decides."""

    failed: int
    """Level 2 or more, else 0."""
    missing: bool
    """It has no engine now."""
    behind: int
    """Minus its tick, if it cannot compute now."""
    crashes: int
    """Level 0 or 1, if it can compute now."""


class Node(NamedTuple):
    """One replica.

    Attributes:
        up: Whether its process runs.
        view: How many records of the log it has applied; survives the process.
        leads: The term that it believes to lead; 0 for none.
        pending: Its records that are not committed.
        table: The live table, which it shares with its engine.
        snapshot: The newest state that belongs to the node alone.
        checkpoint: The state on its disk; survives the process.
        shown: The newest tick that anybody can have seen of it; survives the process.
        engine: Whether its engine runs.
        code: What its engine computes with.
        request: What its engine computes; None between two requests.
        discard: Whether the answer is worthless, because the leadership that asked is over.
        failure: The newest attempt that failed.
        unstartable: Whether the newest start of its engine failed.
        heard: The newest ping of the other replica.
    """

    up: bool = True
    view: int = 1
    leads: int = 0
    pending: tuple[Record, ...] = ()
    table: State = ()
    snapshot: State = ()
    checkpoint: State = ()
    shown: int = 0
    engine: bool = True
    code: int = 0
    request: Request | None = None
    discard: bool = False
    failure: Failure = Failure()
    unstartable: bool = False
    heard: Ping | None = None

    @property
    def next_tick(self) -> int:
        """The tick after the newest snapshot."""
        return len(self.snapshot) + 1


class Rules:
    """The decisions of a node. Each planted fault overrides one of them."""

    def readable(self, node: Node) -> State:
        """Returns what readers see."""
        return node.snapshot

    def restored(self, node: Node, known: Facts) -> tuple[State, State]:
        """Returns the live table and the newest snapshot after a failure."""
        return node.snapshot, node.snapshot

    def left_out(self, i: int, node: Node, known: Facts) -> frozenset[str]:
        """Returns the commands that the next tick leaves out, on either replica."""
        return frozenset(command for at, command in known.skipped if at == node.next_tick)

    def level(self, failure: Failure, tick: int, revision: int) -> int:
        """Returns how badly this very attempt failed already; an older failure says nothing about it."""
        return failure.level if (failure.tick, failure.revision) == (tick, revision) else 0

    def failed(self, before: int, kind: str) -> int:
        """Returns the level after a failure: one crash may be bad luck, a second one is not."""
        return FAILED if kind == "raise" else min(before + 1, FAILED)

    def prefers(self, own: Ping, peer: Ping, revision: int) -> bool:
        """Returns whether a leader hands over to the other replica."""
        return self.rank(peer, revision) < self.rank(own, revision)

    def rank(self, ping: Ping, revision: int) -> Rank:
        """Returns how badly a replica is placed to compute its own next tick; the smallest rank should lead."""
        level = self.level(ping.failure, ping.tick + 1, revision) if ping.capable else INCAPABLE
        failed = level if level >= FAILED else 0
        missing = not failed and not ping.engine
        return Rank(failed, missing, -ping.tick, 0) if failed or missing else Rank(0, False, 0, level)

    def unseen(self, node: Node, tick: int) -> bool:
        """Returns whether nobody has seen the tick, or can see it before this leadership decides about it."""
        return (
            node.shown < tick and node.heard is not None and node.heard.term == node.leads and node.heard.reached < tick
        )

    def skippable(self, known: Facts, tick: int) -> bool:
        """Returns whether the tick is the last one that has a record."""
        return tick == known.tick

    def may_skip(self, node: Node, known: Facts) -> bool:
        """Returns whether the leader may leave a command out of its next tick."""
        tick = node.next_tick
        paused = self.level(node.failure, tick, known.revision) == FAILED
        return paused and self.settled(node) and self.skippable(known, tick) and self.unseen(node, tick)

    def may_restart(self, node: Node, known: Facts, code: int) -> bool:
        """Returns whether the leader may start the engines again with this code."""
        tick = node.next_tick
        if not self.settled(node):
            return False
        if code == known.code:
            return True
        durable = len(node.checkpoint) >= tick - 1
        return durable and (tick > known.tick or (tick == known.tick and self.unseen(node, tick)))

    def ordered_code(self, node: Node, known: Facts, own: int) -> int:
        """Returns the code that an order to restart the engines puts into force: what is new, here or on the other."""
        if own != known.code or node.heard is None or not node.heard.engine:
            return own
        return node.heard.code

    def settled(self, node: Node) -> bool:
        """Returns whether nothing is under way: no request, and no record without its commit."""
        return node.request is None and not node.pending

    def may_compute(self, node: Node) -> bool:
        """Returns whether a tick that has a record may be tried: not while a record about it is under way."""
        return self.settled(node)

    def usable(self, node: Node, known: Facts) -> bool:
        """Returns whether the engine runs with the code in force, which leads from the state to the last tick."""
        return node.engine and node.code == known.code and self.capable(node, known)

    def capable(self, node: Node, known: Facts) -> bool:
        """Returns whether the engine in force leads from the state to the last tick."""
        return len(node.snapshot) >= known.replay_floor

    def adopts_late_answer(self) -> bool:
        """Returns whether an answer counts that comes after the end of the leadership that asked."""
        return False

    def remembers_shown(self) -> bool:
        """Returns whether the newest shown tick survives the process."""
        return True

    def acknowledges_at_commit(self) -> bool:
        """Returns whether a commit alone is enough for an acknowledgement."""
        return False

    def retries(self) -> bool:
        """Returns whether a paused leader tries its tick again, less and less often."""
        return True

    def remembers_failures(self) -> bool:
        """Returns whether a failure outlives the engine that failed."""
        return True

    def counts_late_failures(self) -> bool:
        """Returns whether a failure counts that happens after the end of the leadership that asked."""
        return True

    def known_ids(self, known: Facts) -> frozenset[str]:
        """Returns the ids of commands that ran, or were left out, and never run again."""
        return frozenset(command for commands in known.ticks for command in commands)
