"""Areas in a world that does its worst: the network, the clients, the issuer of grants, and the checks of each step.

The network loses, doubles, delays and reorders messages. Ticks are computed and never committed. Grants arrive in any
order. Clients spawn ids that exist in another area, ask again, and send what they sent long ago.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from tests.simulation.models.borders.advance import advance
from tests.simulation.models.borders.checks import (
    Violation,
    check_places,
    check_refusals,
    check_runs,
    check_step,
    unsettled,
)
from tests.simulation.models.borders.observer import Observer
from tests.simulation.models.borders.rules import MOST_ROWS, Rules
from tests.simulation.models.borders.state import (
    Acknowledgement,
    Area,
    Command,
    Entity,
    Grant,
    Identity,
    Inputs,
    Message,
    Spawn,
)

SPAN = 100.0
"""The areas share the positions from 0 to here."""

_STEPS = (-40.0, -15.0, -6.0, 6.0, 15.0, 40.0)
_MOST_PACKETS = 400
_MOST_STALE = 30


class Packet(NamedTuple):
    """A message on its way."""

    to: int
    sender: int
    sequence: int
    message: Message


class Client:
    """A client with one command to one entity. An impatient one goes to other areas without an answer."""

    def __init__(self, command: Command, at: int, *, impatient: bool) -> None:
        self.command, self.at, self.impatient = command, at, impatient


def _is_applied(area: Area, spawn: Spawn) -> bool:
    """Returns whether an area has made an entity."""
    return area.window[spawn.id].kind == "applied"


class World:
    """Three or four areas in a row."""

    def __init__(self, rules: Rules, seed: int) -> None:
        self.rules, self.rng = rules, random.Random(seed)
        count = self.rng.choice((2, 3, 4))
        self.cuts = [SPAN * i / count for i in range(1, count)]
        self.clashes = self.rng.random() < 0.7
        self.observer = None if self.clashes else Observer(rules, self.rng)
        self.version = 1
        self.areas = {n: Area(n, 1, self.map()) for n in range(1, count + 1)}
        self.alive: set[Identity] = set()
        self.packets: list[Packet] = []
        self.acknowledgements: list[tuple[int, int, Acknowledgement]] = []
        self.grants: list[tuple[int, Grant]] = []
        self.clients: list[Client] = []
        self.stale: list[tuple[int, Command]] = []
        self.cut: int = 0
        self.snapshots: dict[int, Area] = {}
        self.births = self.commands = 0
        self.ids: set[int] = set()
        self.shared: set[int] = set()
        self.targets: dict[str, int] = {}

    def map(self) -> dict[int, tuple[float, float]]:
        """Returns the cells of the newest version."""
        edges = [0.0, *self.cuts, SPAN]
        return {n: (edges[n - 1], edges[n]) for n in range(1, len(edges))}

    # --- one step

    def step(self, *, quiet: bool = False) -> None:
        """Lets one area compute a tick of what happens to have arrived, and checks the world."""
        rng = self.rng
        number = rng.choice(list(self.areas))
        before = self.areas[number]
        arrivals = self._arrivals(number, quiet=quiet)
        acknowledged = [(sender, a) for to, sender, a in self.acknowledgements if to == number]
        self.acknowledgements = [entry for entry in self.acknowledgements if entry[0] != number]
        grants = [grant for to, grant in self.grants if to == number and rng.random() < 0.5]
        rng.shuffle(grants)
        self.grants = [entry for entry in self.grants if entry[0] != number or entry[1] not in grants]
        inputs = Inputs(
            clocks=(self.cut,) if self.cut and number not in self.snapshots and rng.random() < 0.5 else (),
            grants=tuple(grants),
            acknowledgements=tuple(acknowledged),
            arrivals=tuple((p.sender, p.sequence, p.message) for p in arrivals),
            spawns=() if quiet else self._spawns(before),
            despawns=self._despawns(before, quiet=quiet),
            commands=self._commands(number, quiet=quiet),
            moves=() if quiet else tuple((i, rng.choice(_STEPS)) for i in before.rows if rng.random() < 0.15),
        )
        after = self.advance(before, inputs)
        committed = quiet or rng.random() < 0.9
        self._leave(number, self.rules.sends(after if committed else before, after), quiet=quiet)
        acknowledging = self.rules.acknowledges(after if committed else before, after)
        for sender, link in acknowledging.links.items():
            self.acknowledgements.append((sender, number, Acknowledgement(link.taken, link.sent, acknowledging.clock)))
        if not committed:
            self.grants += [(number, grant) for grant in grants]
            return
        self._photograph(before, after)
        check_step(before, after, inputs)
        self.areas[number] = after
        self.alive |= {s.entity.birth for s in inputs.spawns if s.id not in before.window and _is_applied(after, s)}
        present = {row.birth for row in before.rows.values()}
        self.alive -= {
            b for b in present if any(r.birth == b and r.id in inputs.despawns for r in before.rows.values())
        }
        self._answer(number, after)
        check_places(self.areas, self.alive)
        if len(self.areas) == 2 and not self.clashes:
            check_refusals(after)
        check_runs(self.areas, {c for c, entity in self.targets.items() if entity in self.shared})
        if self.observer is not None:
            self.observer.on_tick(after, {number for _, number in self.alive}, quiet=quiet)
        if not quiet:
            self._issue()

    def advance(self, before: Area, inputs: Inputs) -> Area:
        """Returns the state of an area after a tick that may not be committed."""
        return advance(self.rules, before, inputs)

    def _arrivals(self, number: int, *, quiet: bool) -> list[Packet]:
        rng = self.rng
        arrived: list[Packet] = []
        left: list[Packet] = []
        for packet in self.packets:
            if packet.to == number and rng.random() < 0.7:
                arrived.append(packet)
                if not quiet and rng.random() < 0.1:
                    left.append(packet)
            elif quiet or rng.random() > 0.03:
                left.append(packet)
        rng.shuffle(left)
        self.packets = left[-_MOST_PACKETS:]
        if rng.random() < 0.8:
            return sorted(arrived, key=lambda packet: (packet.sender, packet.sequence))
        rng.shuffle(arrived)
        return arrived

    def _leave(self, number: int, area: Area, *, quiet: bool) -> None:
        for to, link in area.links.items():
            for sequence, message in link.outbox.items():
                if quiet or self.rng.random() < 0.5:
                    self.packets.append(Packet(to, number, sequence, message))

    # --- clients

    def _spawns(self, area: Area) -> tuple[Spawn, ...]:
        rng = self.rng
        if rng.random() > 0.25 or len(area.rows) >= MOST_ROWS:
            return ()
        self.births += 1
        self.commands += 1
        low, high = area.map.get(area.number, (0.0, SPAN))
        known = [row.id for other in self.areas.values() for row in other.rows.values()]
        here = [d.entity for d in area.departures if d.area] + list(area.rows)
        chosen = self.births
        if known and self.clashes and rng.random() < 0.15:
            chosen = rng.choice(known if rng.random() < 0.5 or not here else here)
        if chosen in self.ids:
            self.shared.add(chosen)
        self.ids.add(chosen)
        parent = rng.choice(list(area.rows)) if area.rows and rng.random() < 0.4 else 0
        entity = Entity(chosen, (area.number, self.births), rng.uniform(low, high), parent)
        return (Spawn(f"c{self.commands}", entity),)

    def _despawns(self, area: Area, *, quiet: bool) -> tuple[int, ...]:
        if not quiet:
            return (self.rng.choice(list(area.rows)),) if area.rows and self.rng.random() < 0.08 else ()
        ids = [row.id for other in self.areas.values() for row in other.rows.values()]
        twice = [i for i in area.rows if ids.count(i) > 1 or self._waits(i)]
        full = list(area.rows)[:2] if len(area.rows) > 3 and self._is_awaited(area) else []
        return tuple(dict.fromkeys(twice + full))

    def _is_awaited(self, area: Area) -> bool:
        """Returns whether an area may be too full for what waits for it."""
        links = (other.links.get(area.number) for other in self.areas.values())
        return any(link is not None and link.entities() + len(area.rows) > MOST_ROWS for link in links)

    def _waits(self, entity: int) -> bool:
        """Returns whether an entity of this id is on its way although one is in a table."""
        waiting = [
            row.id for area in self.areas.values() for to, link in area.links.items()
            for sequence, m in link.outbox.items() if sequence > self.areas[to].link(area.number).taken
            for row in getattr(m.body, "rows", ())
        ]  # fmt: skip
        return entity in waiting

    def _commands(self, number: int, *, quiet: bool) -> tuple[Command, ...]:
        rng = self.rng
        sent = [c.command for c in self.clients if c.at == number and rng.random() < 0.5]
        self.stale = [*self.stale, *((number, c) for c in sent if rng.random() < 0.3)][-_MOST_STALE:]
        old = [c for at, c in self.stale if at == number and rng.random() < 0.15]
        if not quiet and len(self.clients) < 6 and rng.random() < 0.4:
            known = [row.id for area in self.areas.values() for row in area.rows.values()]
            known += [d.entity for area in self.areas.values() for d in area.departures]
            if known:
                self.commands += 1
                command = Command(f"c{self.commands}", 1, rng.choice(known), follows=rng.random() < 0.5)
                self.targets[command.id] = command.entity
                self.clients.append(Client(command, rng.choice(list(self.areas)), impatient=rng.random() < 0.3))
        return (*sent, *old)

    def _answer(self, number: int, area: Area) -> None:
        """Lets clients see the answers of an area; those that follow go where their entity is."""
        for client in list(self.clients):
            command = client.command
            answer = area.window.get(command.id)
            there = next((n for n, a in self.areas.items() if command.entity in a.rows), 0)
            if there and client.impatient and self.rng.random() < 0.2:
                client.at, client.command = there, command._replace(attempt=command.attempt + 1)
                continue
            if client.at != number or answer is None or self.rng.random() < 0.3:
                continue
            if answer.kind == "applied":
                if not any(command.id in a.applied for a in self.areas.values()):
                    raise Violation(f"{command} was answered `applied`, and did not run")
                self.clients.remove(client)
            elif answer.kind == "rejected":
                if any(command.id in a.applied for a in self.areas.values()):
                    raise Violation(f"{command} was answered `rejected`, and ran")
                self.clients.remove(client)
            elif answer.kind == "moved" and answer.attempt >= command.attempt:
                ran = any(command.id in a.applied for a in self.areas.values())
                if ran and not client.impatient and command.entity not in self.shared:
                    raise Violation(f"{command} was answered {answer}, and ran")
                there = there or answer.area
                if not there or not command.follows:
                    self.clients.remove(client)
                    continue
                client.at, client.command = there, command._replace(attempt=answer.attempt + 1)

    # --- the issuer

    def _issue(self) -> None:
        """Moves a border at times, and tells the areas whenever their turn comes; orders cuts."""
        rng = self.rng
        if rng.random() < 0.02 and self.cuts:
            i = rng.randrange(len(self.cuts))
            edges = [0.0, *self.cuts, SPAN]
            self.cuts[i] = rng.uniform(edges[i] + 1.0, edges[i + 2] - 1.0)
            self.version += 1
            self.tell()
        if not self.cut and rng.random() < 0.1:
            self.cut = max(area.clock for area in self.areas.values()) + rng.randrange(1, 4)

    def tell(self) -> None:
        """Sends the newest map to every area."""
        grant = Grant(self.version, tuple(self.map().items()))
        self.grants += [(number, grant) for number in self.areas]

    def _photograph(self, before: Area, after: Area) -> None:
        """Keeps the last state with at most the clock of the cut, and checks the cut when it is complete."""
        if self.cut and before.number not in self.snapshots and after.clock > self.cut:
            if before.clock > self.cut:
                raise Violation(f"area {before.number} passed the clock {self.cut} without its state")
            self.snapshots[before.number] = before
        if len(self.snapshots) == len(self.areas):
            check_places(self.snapshots, None)
            self.cut, self.snapshots = 0, {}

    # --- runs

    def run(self, steps: int) -> None:
        """Takes steps with faults, then lets the world come to rest."""
        for _ in range(steps):
            self.step()
        for turn in range(1200):
            if turn % 50 == 0:
                self.tell()
            self.step(quiet=True)
            if turn % 20 == 19 and not self.unsettled():
                return
        raise Violation(f"the world does not come to rest: {self.unsettled()}")

    def unsettled(self) -> list[str]:
        """Returns what is not as it has to be when all is quiet."""
        waiting = [f"a client waits for {c.command} at {c.at}" for c in self.clients]
        seen = self.observer.unsettled(self.areas) if self.observer is not None else []
        return [*unsettled(self.areas, self.map()), *waiting, *seen]
