"""Rules about borders with one fault each."""

from __future__ import annotations

from collections.abc import Sequence

from tests.simulation.models.borders.rules import FINAL, MOST_TRANSFERS, Rules
from tests.simulation.models.borders.state import (
    Acknowledgement,
    Answer,
    Area,
    Batch,
    Command,
    Departure,
    Entity,
    Grant,
    Group,
    Inputs,
    Link,
    Message,
    Sight,
)


class TakesAnySequence(Rules):
    def takes(self, link: Link, sequence: int) -> bool:
        return True


class TakesWhatItTookBefore(Rules):
    def takes(self, link: Link, sequence: int) -> bool:
        return sequence <= link.taken + 1


class SkipsALostMessage(Rules):
    def takes(self, link: Link, sequence: int) -> bool:
        return sequence > link.taken


class AcknowledgesBeforeTheCommit(Rules):
    def acknowledges(self, committed: Area, computed: Area) -> Area:
        return computed


class SendsBeforeTheCommit(Rules):
    def sends(self, committed: Area, computed: Area) -> Area:
        return computed


class DropsAnEntryBeforeItsReturn(Rules):
    def counts(self, link: Link, acknowledgement: Acknowledgement) -> bool:
        return True


class IgnoresTheClocksOfMessages(Rules):
    def clock(self, area: Area, inputs: Inputs) -> int:
        return max([area.clock, *inputs.clocks, *(a.clock for _, a in inputs.acknowledgements)]) + 1


class IgnoresTheClocksOfAcknowledgements(Rules):
    def clock(self, area: Area, inputs: Inputs) -> int:
        return max([area.clock, *inputs.clocks, *(m.clock for _, _, m in inputs.arrivals)]) + 1


class LearnsAnOlderMap(Rules):
    def learns(self, area: Area, grant: Grant) -> bool:
        return grant.version != area.version


class MovesOnByAnOlderMap(Rules):
    def is_ahead(self, area: Area, row: Entity) -> bool:
        return False


class CrossesWithoutItsChildren(Rules):
    def members(self, area: Area, root: Entity) -> tuple[Entity, ...]:
        return (root,)


class LeavesTheGrandchildren(Rules):
    def members(self, area: Area, root: Entity) -> tuple[Entity, ...]:
        return tuple(row for row in area.rows.values() if root.id in {row.id, row.parent})


class TearsAGroupThatIsLarge(Rules):
    def members(self, area: Area, root: Entity) -> tuple[Entity, ...]:
        return super().members(area, root)[:MOST_TRANSFERS]


class CrossesWithoutALimit(Rules):
    def may_cross(self, crossed: int, waiting: int, group: Group) -> bool:
        return super().may_cross(0, waiting, group)


class FillsTheOutboxOfADeadArea(Rules):
    def may_cross(self, crossed: int, waiting: int, group: Group) -> bool:
        return super().may_cross(crossed, 0, group)


class NeverCrossesAsALargeGroup(Rules):
    def may_cross(self, crossed: int, waiting: int, group: Group) -> bool:
        return crossed + len(group.rows) <= MOST_TRANSFERS and super().may_cross(crossed, waiting, group)


class CrossesNewestFirst(Rules):
    def in_order(self, area: Area, roots: list[int]) -> list[int]:
        return super().in_order(area, roots)[::-1]


class SendsMessagesWithoutALimit(Rules):
    def is_open(self, link: Link) -> bool:
        return True


class ForwardsWithoutALimit(Rules):
    def may_forward(self, link: Link) -> bool:
        return True


class TakesWithoutRoom(Rules):
    def has_room(self, area: Area, batch: Batch) -> bool:
        return True


class LooksForIdsInTheTableAlone(Rules):
    def refuses(self, area: Area, number: int, message: Message, group: Group) -> bool:
        return any(row.id in area.rows for row in group.rows)


class OverwritesAnEntityOfTheSameId(Rules):
    def refuses(self, area: Area, number: int, message: Message, group: Group) -> bool:
        return super().refuses(area, number, message, group) and not any(row.id in area.rows for row in group.rows)


class RefusesWhatComesBack(Rules):
    def refuses(self, area: Area, number: int, message: Message, group: Group) -> bool:
        return super().refuses(area, 0, message, group)


class TriesARefusedGroupAtOnce(Rules):
    def held(self, area: Area, row: Entity) -> Entity:
        return row


class SpawnsAnIdThatIsOnItsWay(Rules):
    def may_spawn(self, area: Area, entity: int) -> bool:
        return entity not in area.rows


class AnswersALateAttempt(Rules):
    def is_new(self, known: Answer | None, command: Command) -> bool:
        return known is None or known.kind not in FINAL


class AppliesAgainWithAHigherAttempt(Rules):
    def is_new(self, known: Answer | None, command: Command) -> bool:
        return known is None or command.attempt > known.attempt


class NeverAppliesAfterItsEntityCameBack(Rules):
    def is_new(self, known: Answer | None, command: Command) -> bool:
        return known is None


class SendsAnOrderAndTheClientToo(Rules):
    def answers_when_forwarding(self, command: Command, there: int) -> Answer:
        return Answer("moved", command.attempt, command.entity, there)


class LeavesTheMemoryBehind(Rules):
    def memory(self, area: Area, group: Group) -> tuple[tuple[str, Answer], ...]:
        return ()


class ShowsWhatArrivedLast(Rules):
    def sight(self, sights: Sequence[Sight], newest: Departure | None) -> Sight | None:
        valid = [s for s in sights if newest is None or s.clock >= newest.clock]
        return valid[-1] if valid else None


class ShowsFramesFromBeforeADeparture(Rules):
    def sight(self, sights: Sequence[Sight], newest: Departure | None) -> Sight | None:
        return max(sights, default=None)


class LosesSightOfWhatMoves(Rules):
    def stays_in_sight(self, departure: Departure) -> bool:
        return False


class KeepsTheDeadInSight(Rules):
    def stays_in_sight(self, departure: Departure) -> bool:
        return True


class NamesOnlyWhatItShowed(Rules):
    def named(self, shown: frozenset[int], left: tuple[Departure, ...]) -> tuple[Departure, ...]:
        return tuple(departure for departure in left if departure.entity in shown)
