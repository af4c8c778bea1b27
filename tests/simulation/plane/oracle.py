"""The oracle of a plane: it hears what the areas commit and what leaves their processes, and checks the whole world.

 1. Every entity is in exactly one table, or in exactly one outbox entry that its receiver has not taken. An area takes
    only what another one has committed, the next entry of each link alone; a sequence has one content for ever.
 2. A command that was answered `applied` was applied once, wherever its entity went.
 3. For every clock W, the states of all areas after their last ticks with a clock of at most W are one world.
 5. When all is quiet, each area holds what lies in its cell, outboxes are empty, and nothing is pending.

Entities are told apart by their births, since clients give two entities one id at times.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping

import numpy as np

from pairsim.model.borders import Acknowledgement, AreaMap, acknowledgement
from pairsim.model.borders.codec.messages import decode_message
from pairsim.model.commands import Command, Result, Status
from pairsim.model.state.schema import Schema
from pairsim.replication.links.messages import Entry
from pairsim.replication.log.records import Tick
from tests.simulation.oracle import Oracle, Violation
from tests.simulation.plane.chronicle import Chronicle, Committed
from tests.simulation.plane.simulator import TICK_RATE, plane_area
from tests.simulation.plane.states import check_tick, link_of, places, roots_of


class AreaOracle(Oracle):
    """The oracle of one area, which tells that of its plane what the area commits."""

    def __init__(self, number: int, plane: PlaneOracle) -> None:
        super().__init__()
        self._number, self._plane = number, plane

    def committed(self, record: Tick) -> None:
        new = record.tick not in self.records
        super().committed(record)
        if new:
            self._plane.committed(self._number, record)

    def recorded(self, command: str, tick: int) -> None:
        """Does nothing: an area may record several attempts of a command, and its state says which of them run."""


class PlaneOracle:
    """Everything that the areas of a plane committed, sent and answered.

    Attributes:
        areas: The oracles of the areas, by number.
        chronicles: The committed states of the areas, by number.
        taken: How many entities came to another area.
        seconds: From the commit of each tick that sent entities to the commit of the tick that took them.
        cuts: How many clocks were checked.
    """

    def __init__(self, cells: AreaMap, seed: int, now: Callable[[], float]) -> None:
        """Takes the first map, the seed of the areas and the clock."""
        self._now = now
        self.areas = {cell.number: AreaOracle(cell.number, self) for cell in cells.cells}
        self.chronicles = {c.number: Chronicle(plane_area(c.number, c.bounds, seed)) for c in cells.cells}
        self._contents: dict[tuple[int, int], list[tuple[int, float]]] = collections.defaultdict(list)
        """The hash of each entry that an area committed for another one, and when."""
        self._born: dict[int, int] = {}
        """The clock at which an entity began to exist, by its birth."""
        self._died: dict[int, int] = {}
        self._applied: dict[str, tuple[int, int, int]] = {}
        """The area, the tick and the entity of each command that was applied."""
        self._shared: dict[int, set[int]] = collections.defaultdict(set)
        """The entities that had an id, by their births."""
        self.answers: dict[str, Result] = {}
        """The last answer to each command."""
        self.amounts: dict[str, int] = {}
        """What each command adds to the value of its entity."""
        self.targets: dict[str, int] = {}
        """The id of the entity of each command."""
        self.taken = self.cuts = 0
        self.seconds: list[float] = []
        for number, chronicle in self.chronicles.items():
            self._note_lives(number, chronicle.newest)
        self._check_world(self.newest(), self._alive())

    def newest(self) -> dict[int, Committed]:
        """Returns the newest committed states, which are one consistent world."""
        return {number: chronicle.newest for number, chronicle in self.chronicles.items()}

    # --- what happens

    def committed(self, number: int, record: Tick) -> None:
        """Hears that an area committed a tick."""
        chronicle = self.chronicles[number]
        before = chronicle.newest
        after = chronicle.commit(record)
        where = f"area {number}, tick {after.tick}"
        self._check_inputs(number, where, before, after)
        self._note_entries(number, after)
        self._note_lives(number, after)
        for command, birth in after.applied.items():
            known = self._applied.setdefault(command, (number, after.tick, birth))
            if known[:2] != (number, after.tick) and command not in self._ambiguous():
                raise Violation(f"{where} applies command {command}, which was applied in {known}")
        check_tick(where, before, after)
        self._check_world(self.newest(), self._alive())
        self._check_cuts(number, before, after)

    def answered(self, number: int, command: Command, result: Result) -> None:
        """Hears the answer of an area to a command."""
        if result.status is not Status.DUPLICATE and result.tick not in self.areas[number].records:
            raise Violation(f"area {number} answered {result}, and did not commit this tick")
        before = self.answers.get(command.id)
        if before is None or before.status is Status.MOVED:
            self.answers[command.id] = result
        if result.status is Status.MOVED or command.id in self._ambiguous():
            return
        if is_applied(result) is not (command.id in self._applied):
            raise Violation(f"area {number} answered {result}, which was applied in {self._applied.get(command.id)}")

    def _ambiguous(self) -> set[str]:
        """Returns the commands to ids that several entities have had: each of these may apply one."""
        return {command for command, entity in self.targets.items() if len(self._shared[entity]) > 1}

    def sends(self, number: int, to: int, entry: Entry, schema: Schema) -> None:
        """Hears that an entry leaves a process."""
        contents = self._contents[number, to]
        digest = decode_message(entry.body, schema).digest
        if not 1 <= entry.sequence <= len(contents) or contents[entry.sequence - 1][0] != digest:
            raise Violation(f"area {number} sends entry {entry.sequence} to area {to}, which it did not commit so")

    def acknowledges(self, number: int, to: int, sent: Acknowledgement) -> None:
        """Hears that an acknowledgement leaves a process."""
        state = self.chronicles[number].by_clock.get(sent.clock)
        if state is None or acknowledgement(state.borders, to) != sent:
            raise Violation(f"area {number} sends {sent} to area {to}, which it did not commit")

    # --- checks

    def _check_inputs(self, number: int, where: str, before: Committed, after: Committed) -> None:
        """Checks that an area took what others had committed, and the next entry of each link alone."""
        inputs = after.inputs
        for arrival in inputs.arrivals:
            contents = self._contents[arrival.area, number]
            known = contents[arrival.sequence - 1] if arrival.sequence <= len(contents) else (None, 0.0)
            if known[0] != arrival.message.digest:
                raise Violation(f"{where}: entry {arrival.sequence} of area {arrival.area} is not what that committed")
            if arrival.message.clock > after.clock:
                raise Violation(f"{where}: clock {after.clock} is behind {arrival.message.clock} of what arrived")
        for other, given in inputs.acknowledgements:
            state = self.chronicles[other].by_clock.get(given.clock)
            if state is None or acknowledgement(state.borders, number) != given:
                raise Violation(f"{where}: {given} of area {other} was not committed by that")
            if given.clock > after.clock:
                raise Violation(f"{where}: clock {after.clock} is behind {given}")
        offered = {(arrival.area, arrival.sequence) for arrival in inputs.arrivals}
        for other, link in after.borders.links.items():
            first = link_of(before.borders, other).taken
            for sequence in range(first + 1, link.taken + 1):
                if (other, sequence) not in offered:
                    raise Violation(f"{where}: entry {sequence} of area {other} counts as taken and never arrived")
                self.seconds.append(self._now() - self._contents[other, number][sequence - 1][1])

    def _note_entries(self, number: int, after: Committed) -> None:
        for other, link in after.borders.links.items():
            contents = self._contents[number, other]
            for sequence, message in link.outbox.items():
                if sequence > len(contents):
                    contents.append((message.digest, self._now()))
                if contents[sequence - 1][0] != message.digest:
                    raise Violation(f"entry {sequence} of area {number} for area {other} has another content now")
            if link.sent != len(contents):
                raise Violation(f"area {number} has sent {link.sent} entries to area {other}, and not {len(contents)}")

    def _note_lives(self, number: int, after: Committed) -> None:
        for entity, birth in zip(after.ids.tolist(), after.births.tolist(), strict=True):
            self._shared[entity].add(birth)
        for birth in after.born:
            if birth in self._born:
                raise Violation(f"entity {birth} is born again in area {number}, tick {after.tick}")
            self._born[birth] = after.clock
        for birth in after.died:
            if birth in self._died:
                raise Violation(f"entity {birth} dies again in area {number}, tick {after.tick}")
            self._died[birth] = after.clock

    def _alive(self) -> set[int]:
        return self._born.keys() - self._died.keys()

    def _check_world(self, states: Mapping[int, Committed], alive: set[int], at: str = "now") -> None:
        """Checks that states of all areas are one world: each entity once, and links whose ends fit each other."""
        found = np.concatenate([births for _where, births in places(states)])
        if len(found) != len(alive) or set(found.tolist()) != alive:
            self._explain(states, alive, at)
        counters = [state.borders.counters for state in states.values()]
        born, died = sum(c.born for c in counters), sum(c.died for c in counters)
        if born - died != len(found):
            raise Violation(f"{at}: {born} born, {died} died, {len(found)} present")
        for number, state in states.items():
            for other, link in state.borders.links.items():
                back = link_of(states[other].borders, number)
                if link.taken > back.sent:
                    raise Violation(f"{at}: area {number} has taken {link.taken} of {back.sent} entries of {other}")
                if link.acknowledged > back.taken:
                    raise Violation(f"{at}: area {number} dropped entries that area {other} has not taken")

    def _explain(self, states: Mapping[int, Committed], alive: set[int], at: str) -> None:
        where = collections.defaultdict(list)
        for place, births in places(states):
            for birth in births.tolist():
                where[birth].append(place)
        twice = {birth: found for birth, found in where.items() if len(found) > 1}
        raise Violation(f"{at}: lost {alive - where.keys()}, dead and there {where.keys() - alive}, twice {twice}")

    def _check_cuts(self, number: int, before: Committed, after: Committed) -> None:
        """Checks every clock that all areas have passed with this tick."""
        others = [c.newest.clock for n, c in self.chronicles.items() if n != number]
        passed = min(others, default=after.clock) - 1
        for clock in range(before.clock, min(after.clock - 1, passed) + 1):
            states = {n: chronicle.at(clock) for n, chronicle in self.chronicles.items()}
            born = {birth for birth, at in self._born.items() if at <= clock}
            died = {birth for birth, at in self._died.items() if at <= clock}
            self._check_world(states, born - died, f"cut {clock}")
            self.cuts += 1

    # --- the end

    def check_values(self) -> None:
        """Checks that the commands with the answer `applied`, and no others, were applied once: the values say it."""
        ambiguous = self._ambiguous()
        sums: collections.Counter[int] = collections.Counter()
        for command, (_number, _tick, birth) in self._applied.items():
            answer = self.answers.get(command)
            if (answer is None or not is_applied(answer)) and command not in ambiguous:
                raise Violation(f"command {command} was applied, and its answer is {answer}")
            sums[birth] += self.amounts.get(command, 0)
        for number, state in self.newest().items():
            rows = zip(state.ids.tolist(), state.births.tolist(), state.values.tolist(), strict=True)
            for entity, birth, value in rows:
                if value != sums[birth] and len(self._shared[entity]) == 1:
                    raise Violation(f"entity {birth} of area {number} has the value {value}, and not {sums[birth]}")

    def unsettled(self, newest: AreaMap) -> list[str]:
        """Returns what is not as it has to be when all is quiet."""
        found = []
        for number, state in self.newest().items():
            borders = state.borders
            found += [f"area {number} has entries for {to}" for to, link in borders.links.items() if link.outbox]
            found += [f"area {number} waits for {to}" for to, link in borders.links.items() if link.waiting]
            found += [f"area {number} has entities that move"] if state.moves else []
            pending = {"ahead": borders.ahead, "held": borders.held, "queue": borders.queue}
            found += [f"area {number}: {name} is not empty" for name, some in pending.items() if len(some)]
            if borders.version != newest.version or borders.number != number:
                found.append(f"area {number} knows version {borders.version} and number {borders.number}")
            owners = newest.owners(state.positions).tolist()
            roots = roots_of(state)
            found += [
                f"area {number} has entity {entity}, which area {owners[root]} owns"
                for entity, root in zip(state.ids.tolist(), roots, strict=True)
                if owners[root] not in {0, number}
            ]
        return found

    def ticks(self) -> list[float]:
        """Returns the ticks from the commit of each entry to the commit of the tick that took it, in order."""
        return sorted(seconds * TICK_RATE for seconds in self.seconds)


def is_applied(result: Result) -> bool:
    """Returns whether an answer says that a command was applied, now or before."""
    return result.status is Status.APPLIED or (result.status is Status.DUPLICATE and not result.reason)
