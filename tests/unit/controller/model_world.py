"""A model of a world on which the decisions of the controller are tested.

It keeps the promises of the replication (one history for each area, quorums, quarantine of a member that lost its
folder, retirement of a replaced member) and is as unhelpful as possible otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from pairsim.model.assignment import Assignment
from pairsim.model.status import ReplicaStatus, Role, WitnessStatus
from pairsim_controller.plan.area import decide
from pairsim_controller.plan.facts import LOST_AFTER_SECONDS
from pairsim_controller.plan.fleet_index import DesiredArea, FleetIndex
from pairsim_controller.plan.labels import plan_labels
from pairsim_controller.plan.view import (
    Action,
    AdoptReported,
    Assign,
    DropRecord,
    Label,
    ObservedProcess,
    Release,
    Request,
    ResendAssignment,
    SetLabel,
    Switchover,
    View,
)
from tests.unit.controller.builders import NOW, observe, process, replica, spec, witness


@dataclass
class ModelProcess:
    """A simulator or witness.

    `has` are its memberships, `able` the areas whose state (or log) it holds. While it is `stuck`, it runs, votes and
    answers, and its state stays at the tick `synced`. `stuck_seconds` is the time since it made progress, if it was
    stuck since then.
    """

    name: str
    alive: bool = True
    reachable: bool = True
    leaving: bool = False
    silent: float = 0.0
    stuck: bool = False
    stuck_seconds: float = 0.0
    synced: int = 0
    has: dict[str, Assignment] = field(default_factory=dict)
    able: set[str] = field(default_factory=set)

    @property
    def is_witness(self) -> bool:
        return self.name.startswith("witness")


@dataclass
class ModelArea:
    """The true state of an area."""

    force: Assignment
    term: int = 1
    tick: int = 0
    active: str | None = None


class ModelWorld:
    """Processes and areas, and the records and labels of the controller."""

    def __init__(self, simulators: int, witnesses: int, areas: tuple[str, ...]) -> None:
        names = [f"sim-{n}" for n in range(1, simulators + 1)] + [f"witness-{n}" for n in range(1, witnesses + 1)]
        self.nodes = {name: ModelProcess(name) for name in names}
        self.areas = areas
        self.truth: dict[str, ModelArea] = {}
        self.begun: list[str] = []
        self.recorded: dict[str, Assignment] = {}
        self.labels: dict[str, Label] = {}
        self.highest: dict[str, int] = {}
        self.now = NOW
        self.touched: set[str] = set()
        self.index = FleetIndex(self.touched.add)
        for area in areas:
            self.index.set_desired(area, DesiredArea(spec(area)))
        self.seen: dict[str, ObservedProcess] = {}
        self.look()

    # --- faults

    def kill(self, name: str) -> None:
        self.nodes[name].alive = False

    def restart(self, name: str) -> None:
        self.nodes[name].alive = True
        self.nodes[name].leaving = False

    def leave(self, name: str) -> None:
        """Announces that a process will end; it works until it is killed."""
        self.nodes[name].leaving = True

    def empty(self, name: str) -> None:
        """Restarts a process without its folder."""
        node = self.nodes[name]
        node.has, node.able, node.alive, node.leaving = {}, set(), True, False

    def hide(self, name: str) -> None:
        """Makes a process unreachable for the controller; its peers still reach it."""
        self.nodes[name].reachable = False

    def show(self, name: str) -> None:
        self.nodes[name].reachable = True

    def stick(self, name: str) -> None:
        """Makes a process useless: it runs, votes and answers, and makes no progress."""
        self.nodes[name].stuck = True

    def unstick(self, name: str) -> None:
        self.nodes[name].stuck = False

    # --- time

    def turn(self) -> Iterator[tuple[View | None, Action | SetLabel]]:
        """Lets the replication proceed, then decides about one area after the other and acts.

        Yields each action after it was done, with the view that it was decided on.
        """
        self.advance()
        self.look()
        for area in sorted(self.index.areas()):
            view = self.index.view(area, self.now)
            for action in (*decide(view), *plan_labels(view)):
                self._act(action)
                yield view, action
        for action in self.index.missing_spare_labels():
            self._act(action)
            yield None, action

    def advance(self) -> None:
        """Lets the replication of every area and the time proceed."""
        for area in list(self.truth):
            self._replicate(area)
        self._begin()
        self.now += LOST_AFTER_SECONDS / 4
        for node in self.nodes.values():
            node.silent = 0.0 if node.alive and node.reachable else node.silent + LOST_AFTER_SECONDS / 4
            if node.stuck or (node.stuck_seconds and node.has):
                node.stuck_seconds += LOST_AFTER_SECONDS / 4
            else:
                node.stuck_seconds = 0.0
            self.seen[node.name] = self._process(node)

    def look(self) -> None:
        """Puts the present state of all processes into the index."""
        for node in self.nodes.values():
            self.seen[node.name] = seen = self._process(node)
            observe(self.index, seen, self.now)

    def _begin(self) -> None:
        """Begins the first term of an area whose three members are there and have no state."""
        for area in {a for node in self.nodes.values() for a in node.has} - self.truth.keys():
            for node in self.nodes.values():
                first = node.has.get(area)
                if first is None or first.generation != 1:
                    continue
                members = [self.nodes[m.replica] for m in first.members()]
                if all(m.alive and m.has.get(area) == first for m in members):
                    self.begun.append(area)
                    self.truth[area] = ModelArea(first)
                    for m in members:
                        m.able.add(area)
                    break

    def _replicate(self, area: str) -> None:
        truth = self.truth[area]
        members = {m.replica for m in truth.force.members()}
        for node in self.nodes.values():
            mine = node.has.get(area)
            if mine is None or not node.alive:
                continue
            if node.name not in members and mine.generation <= truth.force.generation and area in node.able:
                node.has.pop(area)  # its peers report that it was replaced
                node.able.discard(area)
            elif node.name in members and mine.generation < truth.force.generation:
                node.has[area] = truth.force
        voters = {n for n in members if self._in(n, area) and area in self.nodes[n].able}
        if truth.active not in voters or len(voters) < 2:
            truth.active = None
            candidates = sorted(n for n in voters if not self.nodes[n].is_witness)
            if len(voters) >= 2 and candidates:
                truth.active, truth.term = candidates[0], truth.term + 1
        if truth.active is not None:
            if not self.nodes[truth.active].stuck:
                truth.tick += 1
            for name in members:
                if self._in(name, area) and not self.nodes[name].stuck:
                    self.nodes[name].able.add(area)  # it has caught up
                    self.nodes[name].synced, self.nodes[name].stuck_seconds = truth.tick, 0.0

    def _in(self, name: str, area: str) -> bool:
        node = self.nodes[name]
        mine = node.has.get(area)
        return node.alive and mine is not None and mine.generation == self.truth[area].force.generation

    # --- the controller's side

    def _process(self, node: ModelProcess) -> ObservedProcess:
        status: ReplicaStatus | WitnessStatus | None = None
        if node.alive and node.reachable:
            status = self._witness(node) if node.is_witness else self._replica(node)
        return process(node.name, status, alive=node.alive, silent_seconds=node.silent, terminating=node.leaving)

    def _witness(self, node: ModelProcess) -> WitnessStatus:
        groups = [witness(node.name, a, term=self._seen(node, a.spec.area)).areas for a in node.has.values()]
        return WitnessStatus(replica=node.name, started_at=0, pid=1, peer="", areas=sum(groups, ()))

    def _replica(self, node: ModelProcess) -> ReplicaStatus:
        for area, mine in node.has.items():
            truth = self.truth.get(area)
            role = Role.JOINING if truth is None or area not in node.able else Role.PASSIVE
            if truth is not None and truth.active == node.name:
                role = Role.ACTIVE
            whole = role is Role.ACTIVE and all(
                self._in(m.replica, area) and area in self.nodes[m.replica].able for m in mine.members()
            )
            seen = self._seen(node, area)
            status = replica(node.name, mine, role, term=seen, tick=seen, peer_in_sync=whole)
            leader = truth.active if truth is not None else None
            return msgspec.structs.replace(status, synced_tick=node.synced, leader=leader)
        return replica(node.name)

    def _seen(self, node: ModelProcess, area: str) -> int:
        return self.truth[area].term if area in node.able else 0

    def _act(self, action: Action | SetLabel) -> None:
        match action:
            case Assign():
                self._record(action.assignment.spec.area, action.assignment)
                if action.stall is not None:
                    self.index.on_stall(action.assignment.spec.area, action.stall, self.now)
                self.receive(action)
            case ResendAssignment() | Release() | Switchover():
                self.receive(action)
            case AdoptReported():
                self._record(action.assignment.spec.area, action.assignment)
            case DropRecord():
                self._record(action.area, None)
            case SetLabel():
                self.labels[action.replica] = action.label
                self.index.set_label(action.replica, action.label)

    def receive(self, request: Request) -> None:
        """Carries a request out, as far as its targets can be reached."""
        match request:
            case Assign() | ResendAssignment():
                self._assign(request)
            case Release():
                node = self.nodes[request.target]
                if node.alive and node.reachable:
                    node.has.pop(request.area, None)
                    node.able.discard(request.area)
                    if request.area not in self.areas and not any(request.area in n.has for n in self.nodes.values()):
                        self.truth.pop(request.area, None)
            case Switchover():
                self._switch(request)

    def _record(self, area: str, assignment: Assignment | None) -> None:
        self.index.set_record(area, assignment)
        if assignment is None:
            del self.recorded[area]
        else:
            self.recorded[area] = assignment

    def _switch(self, action: Switchover) -> None:
        """Hands over to a passive that has caught up."""
        truth = self.truth.get(action.area)
        if truth is None or truth.active != action.target or not self.nodes[action.target].reachable:
            return
        for m in truth.force.replicas:
            able = action.area in self.nodes[m.replica].able
            if m.replica != action.target and able and self._in(m.replica, action.area):
                truth.active, truth.term = m.replica, truth.term + 1
                return

    def _assign(self, request: Assign | ResendAssignment) -> None:
        told, area = request.assignment, request.assignment.spec.area
        for target in request.targets:
            node, truth = self.nodes[target], self.truth.get(area)
            if not (node.alive and node.reachable):
                continue
            if area not in node.has and (node.is_witness or not node.has):
                node.has[area] = told
            elif truth is not None and truth.active == target:
                self._seal(truth, told)

    def _seal(self, truth: ModelArea, following: Assignment) -> None:
        """Opens the next generation if the newcomers are there and the old members agree."""
        area = following.spec.area
        agree = [m.replica for m in truth.force.members() if self._in(m.replica, area)]
        ready = all(
            self.nodes[n].alive and not self.nodes[n].stuck and self.nodes[n].has.get(area) == following
            for n in following.joins
        )
        if following.generation == truth.force.generation + 1 and ready and len(agree) >= 2:
            truth.force = following
            for name in (*agree, *following.joins):
                if following.member(name) is not None:
                    self.nodes[name].has[area] = following
                    self.nodes[name].able.add(area)
