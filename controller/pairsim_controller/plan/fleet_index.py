"""Everything that is known of a world, arranged so that one area can be viewed without the others; does no I/O.

A world of a thousand areas receives two thousand statuses a second, and almost none of them changes a decision. The
index compares each status with the last one and calls `on_change` only for the areas that it makes a difference to. A
view costs the same however many areas there are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.status import ReplicaStatus, Role, WitnessStatus
from pairsim_controller.plan.authority import Claim
from pairsim_controller.plan.process_entry import ProcessEntry, decisive_part, remove_from
from pairsim_controller.plan.progress import STALLED_AFTER_SECONDS, ReplacementPause
from pairsim_controller.plan.redundancy import active_of
from pairsim_controller.plan.spare_pool import SparePool
from pairsim_controller.plan.view import KeepWarmEngine, Kind, Label, ObservedProcess, SetLabel, Stall, View

NO_AREA = ""
"""Passed to `on_change` when a process without an area needs a label or a request; no area has this name."""


class DesiredArea(msgspec.Struct, frozen=True):
    """What the user wants of an area; `View` explains the fields.

    Attributes:
        warm_engines: Whether the spares of the world should keep engines ready for areas such as this one.
    """

    spec: AreaSpec | None
    paused: bool = False
    blocked_reason: str = ""
    backup_pending: bool = False
    warm_engines: bool = False
    command_options: str = ""


class FleetIndex:
    """The processes, labels, records and desired areas of a world. Times are seconds of one monotonic clock."""

    def __init__(self, on_change: Callable[[str], None]) -> None:
        """Calls `on_change` with the name of an area that needs another round, or with `NO_AREA`."""
        self._on_change = on_change
        self._entries: dict[str, ProcessEntry] = {}
        self._desired: dict[str, DesiredArea] = {}
        self._records: dict[str, Assignment] = {}
        self._stalls: dict[str, Stall] = {}
        self._pauses: defaultdict[str, ReplacementPause] = defaultdict(ReplacementPause)
        self._promised: defaultdict[str, set[str]] = defaultdict(set)
        self._holders: defaultdict[str, set[str]] = defaultdict(set)
        self._labelled: defaultdict[str, set[str]] = defaultdict(set)
        self._load: Counter[str] = Counter()
        self._spares = SparePool()
        self._witnesses: dict[str, None] = {}
        self._waiting: dict[Kind, dict[str, None]] = {kind: {} for kind in Kind}
        self._unlabelled: dict[str, None] = {}
        self._warming: set[str] = set()

    # --- updates

    def set_desired(self, area: str, desired: DesiredArea | None) -> None:
        """Sets what the user wants of an area; None forgets the area."""
        if desired == self._desired.get(area):
            return
        (self._warming.add if desired is not None and desired.warm_engines else self._warming.discard)(area)
        if desired is None:
            del self._desired[area]
        else:
            self._desired[area] = desired
        self._on_change(area)

    def set_process(self, process: ObservedProcess) -> None:
        """Sets what the backend says of a process; its `status` and `silent_seconds` are ignored."""
        entry = self._entries.get(process.name)
        status = entry.process.status if entry is not None else None
        process = msgspec.structs.replace(process, status=status, silent_seconds=0.0)
        if entry is None:
            entry = self._entries[process.name] = ProcessEntry(process)
        elif process == entry.process:
            return
        entry.process = process
        self._classify(entry)
        self._notify_areas_of(entry)

    def remove_process(self, name: str) -> None:
        """Removes a process that is gone for good."""
        entry = self._entries.get(name)
        if entry is None:
            return
        areas = self._areas_of(entry)
        self._set_keys(entry, {})
        self._set_entry_label(entry, None)
        del self._entries[name]
        self._spares.discard(name)
        self._witnesses.pop(name, None)
        self._unlabelled.pop(name, None)
        for area in areas:
            self._on_change(area)

    def on_status(self, name: str, status: ReplicaStatus | WitnessStatus | None, now: float) -> None:
        """Takes in a status of a process; None when the connection to it is lost.

        The same object may come in any number of times; only a new one can make another round due.
        """
        entry = self._entries.get(name)
        if entry is None:
            return
        was, entry.process = entry.process, msgspec.structs.replace(entry.process, status=status)
        new = status is not was.status
        turned = (status is None) != (was.status is None) or entry.process.leaving != was.leaving
        if status is not None or entry.status_at == 0.0:
            entry.status_at = now
        if status is not None and new:
            entry.heard_start = was.starts
        if new and self._warm_request(entry) is not None:
            self._on_change(NO_AREA)
        if isinstance(status, ReplicaStatus):
            self._observe_progress(entry, status, now, new=new)
            keys: dict[str, Hashable] = {status.area: decisive_part(status)}
        elif status is not None:
            entry.groups = {group.area: group for group in status.areas}
            keys = {group.area: group.significant() for group in status.areas}
        else:
            entry.groups, keys = {}, {}
        before = entry.keys
        if keys == before and not turned:
            return
        changed = {area for area in before.keys() | keys.keys() if before.get(area) != keys.get(area)}
        self._set_keys(entry, keys)
        self._classify(entry)
        for area in changed - {""}:
            self._on_change(area)
        if turned or isinstance(status, ReplicaStatus):
            self._notify_areas_of(entry)

    def set_label(self, name: str, label: Label | None) -> None:
        """Sets the labels that a process has now."""
        entry = self._entries.get(name)
        if entry is None or entry.label == label:
            return
        before = entry.label
        self._set_entry_label(entry, label)
        self._classify(entry)
        for area in {x.area for x in (before, label) if x is not None and x.area}:
            self._on_change(area)

    def set_record(self, area: str, assignment: Assignment | None) -> None:
        """Sets the newest assignment that was decided for an area; None drops it.

        From now on its members are promised to the area, so no view of another area offers them as spares.
        """
        before = self._records.get(area)
        if before == assignment:
            return
        if _names(before) != _names(assignment):
            self._stalls.pop(area, None)
        if assignment is None:
            self._pauses.pop(area, None)
        for name in _names(before) - _names(assignment):
            self._promised[name].discard(area)
            if not self._promised[name]:
                del self._promised[name]
        for name in _names(assignment) - _names(before):
            self._promised[name].add(area)
            if name in self._entries:
                self._entries[name].progress.restart()
        if before is not None:
            self._load[before.witness.replica] -= 1
        if assignment is None:
            del self._records[area]
        else:
            self._load[assignment.witness.replica] += 1
            self._records[area] = assignment
        for name in _names(before) | _names(assignment):
            if name in self._entries:
                self._classify(self._entries[name])
        self._on_change(area)

    def on_stall(self, area: str, stall: Stall, now: float) -> None:
        """Notes that the record of an area replaces a replica that runs and makes no progress."""
        self._stalls[area] = stall
        self._pauses[area].on_replacement(now)
        entry = self._entries.get(stall.replica)
        if entry is not None and isinstance(entry.process.status, ReplicaStatus):
            entry.stalled_start = entry.process.status.started_at

    def await_capacity(self, area: str, kinds: Iterable[Kind]) -> None:
        """Sets the kinds of process that an area waits for; `on_change` is called when it may get one of them."""
        wanted = set(kinds)
        for kind in Kind:
            if kind in wanted:
                self._waiting[kind].setdefault(area)
            else:
                self._waiting[kind].pop(area, None)

    # --- queries

    def waiting_areas(self, kind: Kind) -> list[str]:
        """Returns the areas that wait for a process of this kind."""
        return list(self._waiting[kind])

    def view(self, area: str, now: float, *, may_bootstrap: bool = True) -> View:
        """Returns the view of one area; `View` explains `may_bootstrap`."""
        desired = self._desired.get(area, DesiredArea(None))
        recorded = self._records.get(area)
        names = _names(recorded) | self._holders.get(area, set()) | self._labelled.get(area, set())
        for name in self._holders.get(area, ()):
            names.update(self._reported_members(name, area))
        seen = {name: self._process(entry, area, now) for name in sorted(names) if (entry := self._entries.get(name))}
        witnesses = tuple(self._process(self._entries[name], area, now) for name in sorted(self._witnesses))
        return View(
            area=area,
            spec=desired.spec,
            recorded=recorded,
            processes=seen,
            spares=tuple(self._process(self._entries[name], area, now) for name in self._spares.candidates()),
            witnesses=witnesses,
            load={p.name: self._load[p.name] for p in witnesses},
            labels={name: label for name in seen if (label := self._entries[name].label) is not None},
            paused=desired.paused,
            command_options=desired.command_options,
            blocked_reason=desired.blocked_reason,
            backup_pending=desired.backup_pending,
            may_bootstrap=may_bootstrap,
            stall_pause_seconds=self._pauses[area].remaining(now) if area in self._pauses else 0.0,
            replaced_because=self.replaced_because(area),
        )

    def claims(self, plane: str) -> list[Claim]:
        """Returns the areas of a plane, sorted by name, as its map needs them."""
        found = []
        for area in sorted(self._desired.keys() | self._records.keys()):
            desired, recorded = self._desired.get(area, DesiredArea(None)), self._records.get(area)
            spec = recorded.spec if recorded is not None else desired.spec
            if spec is None or spec.plane != plane:
                continue
            seen = (self._entries[name].process.replica for name in self._holders.get(area, ()))
            statuses = [status for status in seen if status is not None]
            wanted = desired.spec is not None and (recorded is not None or not desired.blocked_reason)
            claim = Claim(
                area=area,
                world=spec.world,
                bounds=spec.bounds if wanted else None,
                replicas=recorded.replicas if recorded is not None else (),
                active=active_of(area, statuses),
                known=max((status.version for status in statuses), default=0),
            )
            found.append(claim)
        return found

    def missing_spare_labels(self) -> tuple[SetLabel, ...]:
        """Returns the labels that processes without an area lack."""
        return tuple(SetLabel(name, Label("", Role.SPARE, 0)) for name in sorted(self._unlabelled))

    def warm_engine_requests(self) -> tuple[KeepWarmEngine, ...]:
        """Returns the requests to spares that keep an engine ready and should not, or the other way round.

        An area without a pair yet needs no warm engine, and its spares should not be busy with one. So nothing is asked
        of a spare while an area waits for it.
        """
        found = (self._warm_request(entry) for entry in self._entries.values())
        return tuple(request for request in found if request is not None)

    def record(self, area: str) -> Assignment | None:
        """Returns the newest assignment that was decided for an area, or None."""
        return self._records.get(area)

    def replaced_because(self, area: str) -> str:
        """Returns why the record of an area has another replica; empty if the reason is shown elsewhere."""
        return self._stalls[area].message if area in self._stalls else ""

    def records(self) -> dict[str, Assignment]:
        """Returns all records by area."""
        return dict(self._records)

    def label(self, name: str) -> Label | None:
        """Returns the labels of a process, or None."""
        entry = self._entries.get(name)
        return entry.label if entry is not None else None

    def labels(self) -> dict[str, Label]:
        """Returns all labels by replica."""
        return {name: entry.label for name, entry in self._entries.items() if entry.label is not None}

    def spare_count(self) -> int:
        """Returns the number of spares that may become members."""
        return len(self._spares)

    def areas(self) -> set[str]:
        """Returns all areas that are desired, recorded or held by a process."""
        return self._desired.keys() | self._records.keys() | {area for area, names in self._holders.items() if names}

    # --- details

    def _process(self, entry: ProcessEntry, area: str, now: float) -> ObservedProcess:
        """Returns a process as far as it concerns one area."""
        process = entry.process
        if isinstance(process.status, WitnessStatus):
            group = entry.groups.get(area)
            narrowed = msgspec.structs.replace(process.status, areas=(group,) if group else ())
            return msgspec.structs.replace(process, status=narrowed)
        if process.status is None:
            return msgspec.structs.replace(
                process,
                silent_seconds=now - entry.status_at if entry.status_at else 0.0,
                restarted=entry.heard_start is not None and entry.heard_start != process.starts,
            )
        return msgspec.structs.replace(
            process,
            stalled_seconds=entry.progress.stalled_seconds(now),
            working_seconds=entry.progress.working_seconds(now),
            stalled_before=entry.stalled_start == process.status.started_at,
        )

    def _warm_request(self, entry: ProcessEntry) -> KeepWarmEngine | None:
        status, name = entry.process.replica, entry.process.name
        if status is None or status.role is not Role.SPARE or status.simulator is not None or entry.process.leaving:
            return None
        keep = bool(self._warming)
        if name in self._promised or keep == (status.engine_pid is not None):
            return None
        return KeepWarmEngine(name, keep)

    def _observe_progress(self, entry: ProcessEntry, status: ReplicaStatus, now: float, *, new: bool) -> None:
        """Takes in the progress of a replica; each new status of one that makes none is a reason for another round."""
        entry.progress.observe(status, now)
        if new and status.role is not Role.ACTIVE and entry.progress.stalled_seconds(now) >= STALLED_AFTER_SECONDS:
            self._notify_areas_of(entry)

    def _reported_members(self, name: str, area: str) -> tuple[str, ...]:
        """Returns the members of an area as one of its holders reports them."""
        entry = self._entries[name]
        if isinstance(entry.process.status, ReplicaStatus):
            return entry.process.status.members
        group = entry.groups.get(area)
        return group.members if group is not None else ()

    def _set_keys(self, entry: ProcessEntry, keys: dict[str, Hashable]) -> None:
        name = entry.process.name
        for area in entry.keys.keys() - keys.keys():
            remove_from(self._holders, area, name)
        for area in keys.keys() - entry.keys.keys():
            if area:
                self._holders[area].add(name)
        entry.keys = keys

    def _set_entry_label(self, entry: ProcessEntry, label: Label | None) -> None:
        name = entry.process.name
        if entry.label is not None:
            remove_from(self._labelled, entry.label.area, name)
        if label is not None and label.area:
            self._labelled[label.area].add(name)
        entry.label = label

    def _classify(self, entry: ProcessEntry) -> None:
        """Updates whether a process is available as a spare or a witness, and whether it needs a spare's label."""
        process, name = entry.process, entry.process.name
        spare = process.replica is not None and process.replica.role is Role.SPARE
        if spare and not process.leaving and name not in self._promised:
            if self._spares.add(name, process.node):
                self._wake_waiting(Kind.SIMULATOR)
        else:
            self._spares.discard(name)
        if process.witness is not None and not process.leaving:
            if name not in self._witnesses:
                self._witnesses[name] = None
                self._wake_waiting(Kind.WITNESS)
        else:
            self._witnesses.pop(name, None)
        label = entry.label
        if spare and (label is None or (not label.area and label.role is not Role.SPARE)):
            self._unlabelled[name] = None
            self._on_change(NO_AREA)
        else:
            self._unlabelled.pop(name, None)

    def _wake_waiting(self, kind: Kind) -> None:
        """Notifies areas that wait for a process of this kind: one for a new spare, all of them for a new witness."""
        waiting = self._waiting[kind]
        for area in list(waiting)[: 1 if kind is Kind.SIMULATOR else None]:
            del waiting[area]
            self._on_change(area)

    def _areas_of(self, entry: ProcessEntry) -> set[str]:
        areas = {area for area in entry.keys if area} | self._promised.get(entry.process.name, set())
        return areas | ({entry.label.area} if entry.label is not None and entry.label.area else set())

    def _notify_areas_of(self, entry: ProcessEntry) -> None:
        for area in self._areas_of(entry):
            self._on_change(area)


def _names(assignment: Assignment | None) -> set[str]:
    return {m.replica for m in assignment.members()} if assignment is not None else set()
