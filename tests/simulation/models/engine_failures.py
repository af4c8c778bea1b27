"""A pair of nodes and their engines as a state machine: everything that can happen, and the invariants.

The witness always votes and one more member is always up, so a leader commits what it submits, unless another leader is
elected first. A replica applies the log one record at a time, pings arrive late or never, and a leader that lost its
term goes on until it learns of the next one. `Rules` decides for a node. Faults are actions, and a budget limits them.

Invariants:
    Nobody sees a torn table, a tick in two versions, or a state that contradicts a digest of the log.
    A command has one outcome, which is what the state shows; it runs once.
    An area pauses only for a failure that was not a single crash, and says so when it stands still.
    The leadership changes a bounded number of times for each attempt of a tick.
    Without further faults the area goes on: by itself if it can, after an act of the operator otherwise.
"""

from __future__ import annotations

from tests.simulation.models.engine_rules import (
    FAILED,
    OTHER_CODE,
    TORN,
    Engines,
    Entry,
    Facts,
    Failure,
    Node,
    Open,
    Ping,
    Request,
    Rules,
    Skip,
    State,
    Tick,
    facts,
)  # fmt: skip
from tests.simulation.models.pair import POISON, Action, Budget, Violation, World, fault, noted, put

MOST_HANDOVERS = 6
"""The most handovers for one attempt of a tick, as long as no other fault happens."""


class Model:
    """All that can happen next in a world, and what it leads to."""

    def __init__(self, rules: Rules, *, commands: tuple[str, ...], ticks: int, ahead: int = 1) -> None:
        """Clients send these commands, each once, until the area has so many ticks."""
        self.rules, self.commands, self.ticks, self.ahead = rules, commands, ticks, ahead

    def start(self, budget: Budget) -> World:
        """Returns a healthy pair at tick 0, whose first replica leads."""
        return World((Node(leads=1), Node()), (Open(1),), budget)

    # --- what can happen

    def actions(self, world: World) -> list[Action]:
        """Returns everything that can happen next."""
        found: list[Action] = []
        for i, node in enumerate(world.nodes):
            if not node.up:
                found.append(("boot", i))
                continue
            if node.view < len(world.log):
                found.append(("learn", i))
            found += self._engine(world, i)
            if node.leads:
                found += self._leading(world, i)
            found += self._around(world, i)
        if world.budget.edits:
            found.append(("edit",))
        return found

    def _engine(self, world: World, i: int) -> list[Action]:
        node = world.nodes[i]
        if not node.engine:
            fails = world.budget.failures and not node.unstartable
            return [("start", i), ("start_fails", i)] if fails else [("start", i)]
        if node.request is None:
            known = facts(world.log[: node.view])
            renew: list[Action] = [("start", i)] if node.code not in (known.code, world.disk[i]) else []
            return [*renew, ("crash", i)] if world.budget.failures else renew
        forced = next((POISON[c] for c in node.request.entry.applied if c in POISON and not node.code), None)
        if forced is not None:
            return [(forced, i)]
        names = ("answer", "raise", "crash") if world.budget.failures else ("answer",)
        return [(name, i) for name in names]

    def _leading(self, world: World, i: int) -> list[Action]:
        node, rules = world.nodes[i], self.rules
        known = facts(world.log[: node.view])
        found: list[Action] = []
        tick = node.next_tick
        if node.pending and node.leads == facts(world.log).term:
            found.append(("commit", i))
        if self.prefers(world, i):
            if rules.settled(node) and node.leads == facts(world.log).term and self._opens(world, 1 - i):
                found.append(("hand_over", i))
        elif rules.usable(node, known) and node.request is None:
            if tick <= known.tick and rules.may_compute(node):
                failed = rules.rank(self.ping(world, i), known.revision)[0] == FAILED
                if not failed or rules.retries():
                    found.append(("retry" if failed else "compute", i))
            elif tick == known.tick + len(node.pending) + 1 and self._may_begin(node, known):
                found += [("begin", i, chosen) for chosen in self._choices(node, known)]
                if world.budget.failures:
                    found.append(("perceive_raises", i))
        if rules.may_skip(node, known):
            left = rules.left_out(i, node, known)
            found += [("skip", i, c) for c in known.ticks[tick - 1] if c not in left]
        code = rules.ordered_code(node, known, world.disk[i])
        if world.budget.restarts and rules.may_restart(node, known, code):
            stuck = rules.level(node.failure, tick, known.revision) == FAILED
            if stuck or code != known.code:
                found.append(("restart", i))
        return found

    def _may_begin(self, node: Node, known: Facts) -> bool:
        ordinary = all(isinstance(record, Tick) for record in node.pending)
        return ordinary and len(node.pending) < self.ahead and known.tick + len(node.pending) < self.ticks

    def _choices(self, node: Node, known: Facts) -> list[tuple[str, ...]]:
        known_ids = self.rules.known_ids(known)
        under_way = {c for r in node.pending if isinstance(r, Tick) for c in r.commands}
        waiting = tuple(c for c in self.commands if c not in known_ids and c not in under_way)
        return [(), *((c,) for c in waiting), *([waiting] if len(waiting) > 1 else [])]

    def _around(self, world: World, i: int) -> list[Action]:
        node, peer = world.nodes[i], world.nodes[1 - i]
        known = facts(world.log[: node.view])
        found: list[Action] = []
        if peer.up:
            if peer.heard != self.ping(world, i):
                found.append(("ping", i))
            if self._receives(node, known, peer):
                found.append(("frame", i))
        confirmed = min(len(node.snapshot), known.tick)
        if confirmed > len(node.checkpoint):
            found.append(("checkpoint", i))
        if world.budget.kills:
            found.append(("kill", i, False))
            if node.pending and node.leads == facts(world.log).term:
                found.append(("kill", i, True))
        if world.budget.updates and not world.disk[i]:
            found.append(("update", i))
        if self._opens(world, i):
            led = peer.up and peer.leads == facts(world.log).term
            if not led or world.budget.elections:
                found.append(("elect", i, False))
                if led and peer.pending:
                    found.append(("elect", i, True))
        return found

    def _receives(self, node: Node, known: Facts, sender: Node) -> bool:
        """Returns whether a passive can apply the newest state of the replica that leads the term it knows."""
        follows = not node.leads and node.request is None and sender.leads == known.term
        return follows and len(node.snapshot) < len(sender.snapshot) <= known.tick

    def _opens(self, world: World, i: int) -> bool:
        """Returns whether a replica would open its term if it were elected."""
        node, everything = world.nodes[i], facts(world.log)
        return node.up and node.leads != everything.term and self.rules.capable(node, everything)

    # --- decisions on what is known

    def ping(self, world: World, i: int) -> Ping:
        """Returns what a replica tells about itself now."""
        node = world.nodes[i]
        known = facts(world.log[: node.view])
        level = OTHER_CODE if node.engine else FAILED  # only the operator can make other code count
        hopeless = Failure(node.next_tick, known.revision, level)
        return Ping(
            term=known.term,
            tick=len(node.snapshot),
            reached=max(node.shown, len(node.snapshot)),
            durable=len(node.checkpoint),
            capable=self.rules.capable(node, known),
            engine=node.engine,
            code=node.code,
            failure=hopeless if self._has_no_chance(node, known) else node.failure,
        )

    def _has_no_chance(self, node: Node, known: Facts) -> bool:
        """Returns whether no attempt can succeed with the engine, or the code, that the replica has."""
        return node.code != known.code if node.engine else node.unstartable

    def prefers(self, world: World, i: int) -> bool:
        """Returns whether a leader prefers the other replica for its next tick."""
        peer = world.nodes[i].heard
        revision = facts(world.log[: world.nodes[i].view]).revision
        return peer is not None and peer.capable and self.rules.prefers(self.ping(world, i), peer, revision)

    def paused(self, world: World) -> bool:
        """Returns whether the leader has failed at its next tick, and the other replica is no better."""
        for i, node in enumerate(world.nodes):
            if node.up and node.leads == facts(world.log).term:
                level = self.rules.rank(self.ping(world, i), facts(world.log[: node.view]).revision)[0]
                return level >= FAILED and not self.prefers(world, i)
        return False

    # --- what happens

    def step(self, world: World, action: Action) -> World:
        """Returns the world after an action; raises `Violation` if an invariant does not hold in it."""
        name, *arguments = action
        after: World = getattr(self, f"_{name}")(world, *arguments)
        for i in (0, 1):
            if after.nodes[i] is not world.nodes[i] and after.nodes[i].up:
                after = self._show(after, i)
        self._check_pause(after)
        return after

    def _check_pause(self, world: World) -> None:
        """Checks that an area pauses only for a failure of this very attempt that was not just one crash."""
        for i, node in enumerate(world.nodes):
            known = facts(world.log[: node.view])
            if node.up and node.leads and self.rules.rank(self.ping(world, i), known.revision)[0] == FAILED:
                reason = ((i, node.next_tick, known.revision), True) in world.failures
                if not reason and not self._has_no_chance(node, known):
                    raise Violation(f"the area pauses at tick {node.next_tick - 1} of replica {i} without a reason")

    def _show(self, world: World, i: int) -> World:
        """Lets a client read what a replica serves."""
        node = world.nodes[i]
        known = facts(world.log[: node.view])
        visible = self.rules.readable(node)[: known.tick]
        if TORN in visible:
            raise Violation(f"replica {i} shows a torn table")
        both = min(len(visible), len(world.seen))
        if visible[:both] != world.seen[:both]:
            raise Violation(f"replica {i} shows {visible}, and {world.seen} was seen")
        if len(visible) > len(world.seen):
            ran = [command for entry in visible for command in (*entry.applied, *entry.skipped)]
            if len(ran) != len(set(ran)):
                raise Violation(f"a command runs twice: {visible}")
            world = world._replace(seen=visible, handovers=0)
        if len(visible) > node.shown:
            world = put(world, i, node._replace(shown=len(visible)))
        return self._acknowledge(world, visible) if node.leads else world

    def _acknowledge(self, world: World, visible: State) -> World:
        answers = {(c, "applied") for entry in visible for c in entry.applied}
        answers |= {(c, "skipped") for entry in visible for c in entry.skipped}
        if answers <= world.acknowledged:
            return world
        acknowledged = world.acknowledged | answers
        if len({command for command, _ in acknowledged}) != len(acknowledged):
            raise Violation(f"a command has two outcomes: {sorted(acknowledged)}")
        return world._replace(acknowledged=acknowledged)

    # The engine.

    def _begin(self, world: World, i: int, commands: tuple[str, ...]) -> World:
        node = world.nodes[i]
        record = Tick(node.next_tick, commands, node.snapshot)
        node = node._replace(pending=(*node.pending, record))
        return put(world, i, self._ask(world, node, Entry(commands, (), node.code)))

    def _compute(self, world: World, i: int) -> World:
        node = world.nodes[i]
        known = facts(world.log[: node.view])
        tick = node.next_tick
        if known.before[tick - 1] != node.snapshot:
            raise Violation(f"replica {i} has another digest of tick {tick - 1} than the log: {node.snapshot}")
        left = self.rules.left_out(i, node, known)
        commands = known.ticks[tick - 1]
        entry = Entry(tuple(c for c in commands if c not in left), tuple(c for c in commands if c in left), node.code)
        return put(world, i, self._ask(world, node, entry))

    def _retry(self, world: World, i: int) -> World:
        return self._compute(world, i)

    def _ask(self, world: World, node: Node, entry: Entry) -> Node:
        revision = facts(world.log[: node.view]).revision
        request = Request(node.next_tick, revision, TORN if TORN in node.table else entry)
        return node._replace(request=request, table=(*node.table, TORN))

    def _answer(self, world: World, i: int) -> World:
        node = world.nodes[i]
        assert node.request is not None
        table = (*node.snapshot, node.request.entry)
        if node.discard and not self.rules.adopts_late_answer():
            table = node.snapshot
        failure = node.failure if node.discard else Failure()
        return put(world, i, node._replace(table=table, snapshot=table, request=None, discard=False, failure=failure))

    def _raise(self, world: World, i: int) -> World:
        return self._fail(world, i, "raise")

    def _crash(self, world: World, i: int) -> World:
        if world.nodes[i].request is None:
            return put(fault(world, failures=1), i, world.nodes[i]._replace(engine=False))
        return self._fail(world, i, "crash")

    def _fail(self, world: World, i: int, kind: str) -> World:
        node = world.nodes[i]
        assert node.request is not None
        explained = not node.code and any(POISON.get(c) == kind for c in node.request.entry.applied)
        tick, revision, _ = node.request
        failure = Failure(tick, revision, self.rules.failed(self.rules.level(node.failure, tick, revision), kind))
        world = world if explained else fault(world, failures=1)
        if node.discard and not self.rules.counts_late_failures():
            failure = node.failure
        world = noted(world, (i, tick, revision), kind)
        node = node._replace(request=None, discard=False, engine=False, failure=failure)
        table, snapshot = self.rules.restored(node, facts(world.log[: node.view]))
        return put(world, i, node._replace(table=table, snapshot=snapshot))

    def _perceive_raises(self, world: World, i: int) -> World:
        node = world.nodes[i]
        revision = facts(world.log[: node.view]).revision
        failure = Failure(node.next_tick, revision, FAILED)
        world = noted(world, (i, node.next_tick, revision), "raise")
        return put(fault(world, failures=1), i, node._replace(engine=False, failure=failure))

    def _start(self, world: World, i: int) -> World:
        failure = world.nodes[i].failure if self.rules.remembers_failures() else Failure()
        return put(
            world, i, world.nodes[i]._replace(engine=True, code=world.disk[i], failure=failure, unstartable=False)
        )

    def _start_fails(self, world: World, i: int) -> World:
        return put(fault(world, failures=1), i, world.nodes[i]._replace(unstartable=True))

    # The log.

    def _commit(self, world: World, i: int) -> World:
        node = world.nodes[i]
        record, *pending = node.pending
        world = world._replace(log=(*world.log, record))
        if not isinstance(record, Tick):
            world = world._replace(handovers=0)
        elif self.rules.acknowledges_at_commit():
            world = world._replace(acknowledged=world.acknowledged | {(c, "applied") for c in record.commands})
        return put(world, i, node._replace(view=len(world.log), pending=tuple(pending)))

    def _learn(self, world: World, i: int) -> World:
        node = world.nodes[i]
        record = world.log[node.view]
        if isinstance(record, Open) and node.leads:
            node = self._step_down(node, facts(world.log[: node.view]))
        return put(world, i, node._replace(view=node.view + 1))

    def _step_down(self, node: Node, known: Facts) -> Node:
        """Ends a leadership: every record of it that will ever be committed is in the log by now."""
        node = node._replace(leads=0, pending=(), discard=node.request is not None)
        if len(node.snapshot) > known.tick:
            node = node._replace(snapshot=node.checkpoint)
            if node.request is None:
                node = node._replace(table=node.checkpoint)
        return node

    def _lead(self, world: World, i: int) -> World:
        """Gives a replica the whole log and the next term."""
        while world.nodes[i].view < len(world.log):
            world = self._learn(world, i)
        term = facts(world.log).term + 1
        world = world._replace(log=(*world.log, Open(term)))
        return put(world, i, world.nodes[i]._replace(leads=term, view=len(world.log)))

    def _elect(self, world: World, i: int, keeps: bool) -> World:
        peer = world.nodes[1 - i]
        if keeps:
            world = world._replace(log=(*world.log, *peer.pending))
        led = peer.up and peer.leads == facts(world.log).term
        return self._lead(fault(world, elections=1) if led else world, i)

    def _hand_over(self, world: World, i: int) -> World:
        if world.handovers == MOST_HANDOVERS:
            raise Violation("the leadership goes to and fro")
        peer = world.nodes[1 - i]._replace(heard=self.ping(world, i))
        world = put(world._replace(handovers=world.handovers + 1), 1 - i, peer)
        return self._lead(world, 1 - i)

    def _skip(self, world: World, i: int, command: str) -> World:
        node = world.nodes[i]
        return put(world, i, node._replace(pending=(Skip(node.next_tick, command),)))

    def _restart(self, world: World, i: int) -> World:
        node = world.nodes[i]
        world = world._replace(budget=world.budget._replace(restarts=world.budget.restarts - 1))
        code = self.rules.ordered_code(node, facts(world.log[: node.view]), world.disk[i])
        engines = Engines(node.next_tick, code)
        return put(world, i, node._replace(pending=(engines,), engine=True, code=world.disk[i], unstartable=False))

    def _edit(self, world: World) -> World:
        return world._replace(disk=(1, 1), budget=world.budget._replace(edits=world.budget.edits - 1))

    # The processes and what passes between them.

    def _ping(self, world: World, i: int) -> World:
        return put(world, 1 - i, world.nodes[1 - i]._replace(heard=self.ping(world, i)))

    def _frame(self, world: World, i: int) -> World:
        state = world.nodes[1 - i].snapshot
        return put(world, i, world.nodes[i]._replace(table=state, snapshot=state))

    def _checkpoint(self, world: World, i: int) -> World:
        node = world.nodes[i]
        return put(world, i, node._replace(checkpoint=node.snapshot[: facts(world.log[: node.view]).tick]))

    def _kill(self, world: World, i: int, keeps: bool) -> World:
        node = world.nodes[i]
        if keeps:
            world = world._replace(log=(*world.log, *node.pending))
        return put(fault(world, kills=1), i, self._dead(node))

    def _update(self, world: World, i: int) -> World:
        disk = (1, world.disk[1]) if i == 0 else (world.disk[0], 1)
        budget = world.budget._replace(updates=world.budget.updates - 1)
        return put(world._replace(disk=disk, budget=budget, handovers=0), i, self._dead(world.nodes[i]))

    def _dead(self, node: Node) -> Node:
        shown = node.shown if self.rules.remembers_shown() else len(node.checkpoint)
        return Node(up=False, view=node.view, checkpoint=node.checkpoint, shown=shown, engine=False)

    def _boot(self, world: World, i: int) -> World:
        node = world.nodes[i]
        return put(world, i, node._replace(up=True, table=node.checkpoint, snapshot=node.checkpoint))
