"""Observes the processes of a world, and writes what they did into a recorder.

The product is not changed: an observer listens to the network, to the tick logs and to the node listeners, and compares
what each process is before and after its turns.
"""

from __future__ import annotations

from dataclasses import dataclass

from pairsim.replication.log.records import Order, Seal, Tick
from pairsim.replication.raft.pysyncobj.raft import RaftState
from pairsim.replication.replica.node import AreaNode
from tests.simulation.process import SimProcess
from tests.simulation.traces.messages import describe
from tests.simulation.traces.recorder import Recorder
from tests.simulation.world import World


@dataclass(frozen=True)
class View:
    """What a trace compares of a process; the defaults are those of a process that is down."""

    generation: int = 0
    draining: int = 0
    voter: bool = True
    leads: bool = False
    leader: tuple[str, int] | None = None
    open_term: int | None = None
    links: frozenset[str] = frozenset()
    resting: bool = False
    in_sync: bool = False
    unconfirmed: bool = False
    valid: bool = False


def view(process: SimProcess) -> View:
    """Returns the present view of a process."""
    node, membership = process.node, process.membership
    if node is None or membership is None:
        return View()
    group = membership.group
    leads = group._raft.state is RaftState.LEADER
    known = group.leader is not None and group.leader != group.me
    common = View(
        generation=membership.assignment.generation,
        draining=membership._draining.generation if membership._draining else 0,
        voter=group.voter,
        leads=leads,
        leader=(str(group.leader), group.term) if known and group._raft.state is RaftState.FOLLOWER else None,
        open_term=group.open_term,
        links=group.links,
    )
    if not isinstance(node, AreaNode):
        return common
    replica, state = node.replica, node.replica.state
    handover = replica.active.handover if replica.active else None
    return View(
        **vars(common)
        | {
            "resting": handover is not None and handover.sent,
            "in_sync": node.peer_in_sync(),
            "unconfirmed": state.unconfirmed_term is not None and state.tick > replica.log.tick,
            "valid": state.valid and state.unconfirmed_term is None,
        }
    )


class LogObserver:
    """A listener of one process's tick log."""

    def __init__(self, name: str, observer: WorldObserver) -> None:
        self._name, self._observer = name, observer

    def on_open(self, term: int) -> None: ...

    def on_tick(self, record: Tick, payload: bytes) -> None:
        self._observer.on_tick(self._name, record)

    def on_order(self, order: Order) -> None:
        self._observer.recorder.add(self._name, f"applies {order}")

    def on_seal(self, seal: Seal) -> None:
        generation, members = seal.next.generation, ", ".join(m.replica for m in seal.next.members())
        self._observer.recorder.add(
            self._name, f"applies the seal after tick {seal.tick}: generation {generation} is {members}"
        )


class WorldObserver:
    """Observes all processes of a world."""

    def __init__(self, world: World, recorder: Recorder) -> None:
        """Attaches itself to the world before its processes start."""
        self.recorder = recorder
        self._world = world
        self._views = dict.fromkeys(world.processes, View())
        self._newest_tick = self._newest_term = 0
        self._summarised_tick = 0
        self._send = world.network.send
        world.network.send = self._on_send  # type: ignore[method-assign]
        for process in world.processes.values():
            self._attach(process)

    def _attach(self, process: SimProcess) -> None:
        name, turn, retire, take_over = process.name, process.turn, process.on_retired, process.on_takeover
        process.observers.append(LogObserver(name, self))

        def on_turn(now: float) -> None:
            turn(now)
            self.compare(process)

        def on_retired() -> None:
            self.recorder.add(name, "retires: the area continues without it")
            retire()

        def on_takeover(*, term: int, tick: int, replayed: int) -> None:
            self.compare(process)
            ticks = f" after it replayed {replayed} committed ticks" if replayed else ""
            self.recorder.add(name, f"is the active: continues from tick {tick}{ticks}")
            take_over(term=term, tick=tick, replayed=replayed)

        process.turn, process.on_retired, process.on_takeover = on_turn, on_retired, on_takeover  # type: ignore[method-assign]

    def _on_send(self, key: str, peer: str, message: object) -> bool:
        accepted = self._send(key, peer, message)
        process = self._world.processes[key.split("|", maxsplit=1)[0]]
        if accepted and process.membership is not None:
            text = describe(key, message, process.membership.group)
            if text is not None:
                if "|raft|" in key:  # a publisher sends under its lock, which a view takes
                    self.compare(process)
                self.recorder.add(process.name, text, peer.split("|", maxsplit=1)[0])
        return accepted

    def on_tick(self, name: str, record: Tick) -> None:
        """Notes the first tick of each term; the others are counted."""
        if record.tick <= self._newest_tick:
            return
        self._newest_tick = record.tick
        if record.term > self._newest_term:
            self._newest_term = record.term
            self.recorder.add(name, f"tick {record.tick}, the first of term {record.term}, is committed")

    def summarise(self) -> None:
        """Notes how many ticks were committed since the last call."""
        first, last = self._summarised_tick + 1, self._newest_tick
        self._summarised_tick = last
        if first <= last:
            self.recorder.note(
                f"ticks {first} to {last} are committed" if first < last else f"tick {last} is committed"
            )

    def compare(self, process: SimProcess) -> None:
        """Notes what changed in a process since the last call."""
        before, now = self._views[process.name], view(process)
        if before != now:
            self._views[process.name] = now
            for sentence in changes(before, now, process):
                self.recorder.add(process.name, sentence)


def changes(before: View, now: View, process: SimProcess) -> list[str]:  # noqa: C901, PLR0912 - one branch a fact
    """Returns a sentence for each fact that changed."""
    if not now.generation or process.retired:
        return []
    node, membership = process.node, process.membership
    assert node is not None
    assert membership is not None
    group, log = membership.group, node.log
    said = []
    if not before.generation:
        vote = "on its journal: it votes" if now.voter else "without a journal, in quarantine: it does not vote"
        said.append(f"starts in generation {now.generation} {vote}")
    elif before.generation != now.generation:
        said.append(f"opens generation {now.generation}" + ("" if now.voter else ", in quarantine"))
        before = View(generation=now.generation, voter=now.voter, draining=before.draining, valid=before.valid)
    if before.draining and not now.draining:
        said.append(f"closes the draining group of generation {before.draining}")
    if lost := before.links - now.links:
        said.append(f"lost the link to {', '.join(sorted(lost))}")
    if made := now.links - before.links:
        said.append(f"is linked to {', '.join(sorted(made))}")
    if before.generation and now.voter > before.voter:
        rule = "all members are new" if group._quarantine._target is None else "it has caught up with the leader"
        said.append(f"leaves the quarantine and votes: {rule}")
    if now.leads > before.leads:
        caretaker = ", as a caretaker that cannot simulate" if not node.membership._leadership.can_simulate() else ""
        said.append(f"becomes leader of term {group.term}{caretaker}")
    if before.leads > now.leads:
        said.append("steps down: it leads no more")
    if now.leader is not None and now.leader != before.leader:
        said.append("follows {} in term {}".format(*now.leader))
    if before.open_term is not None and now.open_term is None:
        said.append("is not the active any more")
    if now.open_term is not None and before.open_term != now.open_term:
        said.append(f"opens term {now.open_term} after tick {log.tick}")
    if isinstance(node, AreaNode):
        said += replica_changes(before, now, node)
    return said


def replica_changes(before: View, now: View, node: AreaNode) -> list[str]:
    """Returns a sentence for each fact of a replica that changed."""
    state, log, said = node.replica.state, node.log, []
    if now.resting > before.resting:
        said.append(f"rests after tick {state.tick}, which the other replica has, too")
    if now.in_sync > before.in_sync:
        said.append(f"the pair is redundant: {node.other_replica().replica} could take over")
    if before.in_sync > now.in_sync and now.open_term is not None:
        said.append("the pair is not redundant any more")
    if now.unconfirmed > before.unconfirmed:
        said.append(f"is at tick {state.tick}, but knows the commit of tick {log.tick} only: its state is unconfirmed")
    if before.unconfirmed > now.unconfirmed and now.valid:
        said.append(f"has a confirmed state again, at tick {state.tick}")
    if before.unconfirmed > now.unconfirmed and not now.valid:
        said.append("its unconfirmed ticks were never committed: it waits for a keyframe")
    if now.valid > before.valid and not before.unconfirmed:
        said.append(f"has the state at tick {state.tick}")
    return said
