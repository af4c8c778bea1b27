"""All that is known of a world, arranged so that one area can be looked at without the others; sans-I/O.

A world of a thousand areas hears two thousand statuses a second, of which next to none changes anything. What is heard
is compared with what was known, and only the areas that it makes a difference to are named for another look
(`touched`). A look costs the same however many areas there are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.status import ReplicaStatus, Role, WitnessGroup, WitnessStatus
from pairsim_controller.plan.slow_time import SLOW
from pairsim_controller.plan.spare_pool import SparePool
from pairsim_controller.plan.view import Kind, Label, Process, SetLabel, View

POOL = ""
"""What is touched when a process that belongs to no area needs a label; no area has this name."""


class Wanted(msgspec.Struct, frozen=True):
    """What its user wants of an area; see `View` for the fields."""

    spec: AreaSpec | None
    paused: bool = False
    obstacle: str = ""
    unsaved: bool = False


class _Known:
    """A process, what it is labelled as, and what it said, area by area."""

    __slots__ = ("groups", "heard", "keys", "label", "process")

    def __init__(self, process: Process) -> None:
        self.process = process
        self.heard = 0.0
        self.label: Label | None = None
        self.groups: dict[str, WitnessGroup] = {}
        self.keys: dict[str, Hashable] = {}


class Index:
    """See the module. Times are of one monotonic clock, in seconds."""

    def __init__(self, touched: Callable[[str], None]) -> None:
        """`touched` is called with the name of an area that needs another look, or with `POOL`."""
        self._touched = touched
        self._known: dict[str, _Known] = {}
        self._wanted: dict[str, Wanted] = {}
        self._recorded: dict[str, Assignment] = {}
        self._promised: defaultdict[str, set[str]] = defaultdict(set)
        self._holders: defaultdict[str, set[str]] = defaultdict(set)
        self._labelled: defaultdict[str, set[str]] = defaultdict(set)
        self._load: Counter[str] = Counter()
        self._spares = SparePool()
        self._witnesses: dict[str, None] = {}
        self._waiting: dict[Kind, dict[str, None]] = {kind: {} for kind in Kind}
        self._unlabelled: dict[str, None] = {}

    # --- what is known

    def want(self, area: str, wanted: Wanted | None) -> None:
        """What the user wants; None if the area is not wanted any more."""
        if wanted == self._wanted.get(area):
            return
        if wanted is None:
            del self._wanted[area]
        else:
            self._wanted[area] = wanted
        self._touched(area)

    def put(self, process: Process) -> None:
        """What the backend says of a process; its `status` and `silent` are not looked at."""
        known = self._known.get(process.name)
        status = known.process.status if known is not None else None
        process = msgspec.structs.replace(process, status=status, silent=0.0)
        if known is None:
            known = self._known[process.name] = _Known(process)
        elif process == known.process:
            return
        known.process = process
        self._place(known)
        self._touch_all(known)

    def drop(self, name: str) -> None:
        """The process is gone for good."""
        known = self._known.get(name)
        if known is None:
            return
        areas = self._areas_of(known)
        self._say(known, {})
        self._label(known, None)
        del self._known[name]
        self._spares.discard(name)
        self._witnesses.pop(name, None)
        self._unlabelled.pop(name, None)
        for area in areas:
            self._touched(area)

    def heard(self, name: str, status: ReplicaStatus | WitnessStatus | None, now: float) -> None:
        """What a process says of itself; None when the connection to it is lost."""
        known = self._known.get(name)
        if known is None:
            return
        was, known.process = known.process, msgspec.structs.replace(known.process, status=status)
        turned = (status is None) != (was.status is None) or known.process.leaves != was.leaves
        if status is not None or known.heard == 0.0:
            known.heard = now
        if isinstance(status, ReplicaStatus):
            keys: dict[str, Hashable] = {status.area: _replica_key(status)}
        elif status is not None:
            known.groups = {group.area: group for group in status.areas}
            keys = {group.area: _group_key(group) for group in status.areas}
        else:
            known.groups, keys = {}, {}
        before = known.keys
        if keys == before and not turned:
            return
        changed = {area for area in before.keys() | keys.keys() if before.get(area) != keys.get(area)}
        self._say(known, keys)
        self._place(known)
        for area in changed - {""}:
            self._touched(area)
        if turned or isinstance(status, ReplicaStatus):
            self._touch_all(known)

    def label(self, name: str, label: Label | None) -> None:
        """What a process is labelled as now."""
        known = self._known.get(name)
        if known is None or known.label == label:
            return
        before = known.label
        self._label(known, label)
        self._place(known)
        for area in {x.area for x in (before, label) if x is not None and x.area}:
            self._touched(area)

    def record(self, area: str, assignment: Assignment | None) -> None:
        """The newest assignment that was decided for an area; None if there is none any more."""
        before = self._recorded.get(area)
        if before == assignment:
            return
        for name in _names(before) - _names(assignment):
            self._promised[name].discard(area)
            if not self._promised[name]:
                del self._promised[name]
        for name in _names(assignment) - _names(before):
            self._promised[name].add(area)
        if before is not None:
            self._load[before.witness.replica] -= 1
        if assignment is None:
            del self._recorded[area]
        else:
            self._load[assignment.witness.replica] += 1
            self._recorded[area] = assignment
        for name in _names(before) | _names(assignment):
            if name in self._known:
                self._place(self._known[name])
        self._touched(area)

    def waits(self, area: str, kinds: Iterable[Kind]) -> None:
        """Which kinds of process an area waits for; it is touched when there is one that it may get."""
        wanted = set(kinds)
        for kind in Kind:
            if kind in wanted:
                self._waiting[kind].setdefault(area)
            else:
                self._waiting[kind].pop(area, None)

    # --- looks

    def view(self, area: str, now: float) -> View:
        """A look at one area."""
        wanted = self._wanted.get(area, Wanted(None))
        recorded = self._recorded.get(area)
        names = _names(recorded) | self._holders.get(area, set()) | self._labelled.get(area, set())
        for name in self._holders.get(area, ()):
            names.update(self._members(name, area))
        seen = {name: self._process(known, area, now) for name in sorted(names) if (known := self._known.get(name))}
        witnesses = tuple(self._process(self._known[name], area, now) for name in sorted(self._witnesses))
        return View(
            area=area,
            spec=wanted.spec,
            recorded=recorded,
            processes=seen,
            spares=tuple(self._known[name].process for name in self._spares.offer()),
            witnesses=witnesses,
            load={p.name: self._load[p.name] for p in witnesses},
            labels={name: label for name in seen if (label := self._known[name].label) is not None},
            paused=wanted.paused,
            obstacle=wanted.obstacle,
            unsaved=wanted.unsaved,
        )

    def pool_labels(self) -> tuple[SetLabel, ...]:
        """The labels that processes without an area lack."""
        return tuple(SetLabel(name, Label("", Role.SPARE, 0)) for name in sorted(self._unlabelled))

    def recorded(self, area: str) -> Assignment | None:
        """The newest assignment that was decided for an area."""
        return self._recorded.get(area)

    def records(self) -> dict[str, Assignment]:
        """All of them."""
        return dict(self._recorded)

    def labels(self) -> dict[str, Label]:
        """All labels, by replica."""
        return {name: known.label for name, known in self._known.items() if known.label is not None}

    def spares(self) -> int:
        """How many spares are at hand."""
        return len(self._spares)

    def areas(self) -> set[str]:
        """Every area that is wanted, recorded or held by somebody."""
        return self._wanted.keys() | self._recorded.keys() | {area for area, who in self._holders.items() if who}

    def label_of(self, name: str) -> Label | None:
        """What a process is labelled as."""
        known = self._known.get(name)
        return known.label if known is not None else None

    # --- how

    def _process(self, known: _Known, area: str, now: float) -> Process:
        """As the area is concerned."""
        process = known.process
        if isinstance(process.status, WitnessStatus):
            group = known.groups.get(area)
            narrowed = msgspec.structs.replace(process.status, areas=(group,) if group else ())
            return msgspec.structs.replace(process, status=narrowed)
        if process.status is None:
            return msgspec.structs.replace(process, silent=now - known.heard if known.heard else 0.0)
        return process

    def _members(self, name: str, area: str) -> tuple[str, ...]:
        """Who is a member, as one of them says."""
        known = self._known[name]
        if isinstance(known.process.status, ReplicaStatus):
            return known.process.status.members
        group = known.groups.get(area)
        return group.members if group is not None else ()

    def _say(self, known: _Known, keys: dict[str, Hashable]) -> None:
        name = known.process.name
        for area in known.keys.keys() - keys.keys():
            _take(self._holders, area, name)
        for area in keys.keys() - known.keys.keys():
            if area:
                self._holders[area].add(name)
        known.keys = keys

    def _label(self, known: _Known, label: Label | None) -> None:
        name = known.process.name
        if known.label is not None:
            _take(self._labelled, known.label.area, name)
        if label is not None and label.area:
            self._labelled[label.area].add(name)
        known.label = label

    def _place(self, known: _Known) -> None:
        """Whether it is at hand as a spare or witness, and whether it needs a spare's label."""
        process, name = known.process, known.process.name
        spare = process.replica is not None and process.replica.role is Role.SPARE
        if spare and not process.leaves and name not in self._promised:
            if self._spares.add(name, process.node):
                self._serve(Kind.SIMULATOR)
        else:
            self._spares.discard(name)
        if process.witness is not None and not process.leaves:
            if name not in self._witnesses:
                self._witnesses[name] = None
                self._serve(Kind.WITNESS)
        else:
            self._witnesses.pop(name, None)
        label = known.label
        if spare and (label is None or (not label.area and label.role is not Role.SPARE)):
            self._unlabelled[name] = None
            self._touched(POOL)
        else:
            self._unlabelled.pop(name, None)

    def _serve(self, kind: Kind) -> None:
        """Somebody may get what it waits for. One spare helps one area; a witness helps all."""
        waiting = self._waiting[kind]
        for area in list(waiting)[: 1 if kind is Kind.SIMULATOR else None]:
            del waiting[area]
            self._touched(area)

    def _areas_of(self, known: _Known) -> set[str]:
        areas = {area for area in known.keys if area} | self._promised.get(known.process.name, set())
        return areas | ({known.label.area} if known.label is not None and known.label.area else set())

    def _touch_all(self, known: _Known) -> None:
        for area in self._areas_of(known):
            self._touched(area)


def _take(index: dict[str, set[str]], area: str, name: str) -> None:
    """Out of a set of an index, which keeps no empty ones."""
    if area in index:
        index[area].discard(name)
        if not index[area]:
            del index[area]


def _names(assignment: Assignment | None) -> set[str]:
    return {m.replica for m in assignment.members()} if assignment is not None else set()


def _replica_key(status: ReplicaStatus) -> Hashable:
    """What of a replica's status decisions and labels depend on; of a tick, only whether there was one."""
    return (
        status.role,
        status.area,
        status.generation,
        status.term,
        status.members,
        status.in_sync,
        status.peer_in_sync,
        status.tick > 0,
        status.pace < SLOW,
    )


def _group_key(group: WitnessGroup) -> Hashable:
    return group.generation, group.term, group.members, group.votes, group.tick > 0
