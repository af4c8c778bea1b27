"""The exchange of entities between areas: what a tick of an area does before and after its step.

Areas are simulated apart. A link is an ordered channel from one area to another one, in which each message is taken
exactly once. Its outbox and its cursor belong to the replicated states of the two areas, so an entity on its way
survives whatever the areas survive. `BorderState` is all that an area remembers for it beside its table. All functions
here depend on their arguments alone; the caller logs the inputs of a tick, sends the outboxes of committed ticks again
and again, and acknowledges what committed ticks have taken. The step between knows nothing of it.

A tick of an area:

    before = state.copy()                                # to return to if the tick is not committed
    taken = take(state, table, inputs, tick)             # maps, acknowledgements, arrivals
    decided = decide(state, table, attempts, tick)       # which commands of clients run, and the other answers
    ids = table.ids.copy()
    ...                                                  # the step, with `taken.orders` before what `decided` runs
    settle(state, taken.orders, rejected)                # what the step rejected; answers to forwarded commands
    count_lives(state, table, ids)                       # births and deaths; only if the step changed `table.layout`
    crossings = cross(state, table, tick)                # entities that leave
    state.digest()

When the tick is committed, the node sends every `state.links[area].outbox` (sequence and message), and with it
`acknowledgement(state, area)`. What arrives there becomes the `BorderInputs` of a later tick.

The rules:

 1. Inputs. Everything that a tick takes in is in its record: maps, acknowledgements, arrivals, commands, the clock, and
    the room of the table.
 2. Cursor. Of a link, the next sequence alone is taken; any other message is ignored.
 3. Acknowledgement. It counts when the messages have been taken that the other area had sent by then. So an entry stays
    in the outbox until its return, if there is one, has arrived.
 4. Crossing. At the end of a tick, an entity whose position another area owns goes into the outbox for this area: those
    first that wait longest. The limits of a tick and of an outbox leave others where they are, and they are simulated.
 5. Groups. An entity crosses with all that belong to it, in one message, or not at all. All groups that cross to one
    area in one tick are one message.
 6. Maps. An area that knows an older map than the one by which an entity came keeps the entity until it has learned
    more. A position that is in no cell, or is not a number, is not left; such entities are counted.
 7. Refusal. A group is refused if the receiver has one of its ids, in its table or in an outbox. It returns, and is
    held for some ticks before it is tried again.
 8. Names. An id is free for a new entity if it is neither in the table nor in an outbox.
 9. Room. A message whose groups do not fit into the table is not taken, nor what stands behind it.
10. Clocks. The clock of a record is larger than the one before, and at least as large as that of everything that the
    tick takes in. The state of an area at a cut W is the one after its last tick with a clock of at most W.
11. Commands. An area that answered an attempt of a command ignores this and earlier ones, and all after a final answer.
12. Memory. An entity takes the answers to the commands that were applied to it along, the newest ones if they are many.
13. Orders. For a client that does not follow, the area sends the command behind the entity, over the same link, and
    the answer comes back to the area that owes it.
14. Observers. The departures of the newest ticks say of each entity whether it moved or died.

The bounds are in `limits.py`. `codec` turns messages, inputs and states into bytes, and checks what it reads.
"""

from pairsim.model.borders.answers import Answer, AnswerKind
from pairsim.model.borders.area_map import AreaMap
from pairsim.model.borders.commands import CommandAttempt, Decided, decide, settle
from pairsim.model.borders.crossing import Crossings, Lives, count_lives, cross
from pairsim.model.borders.departures import DIED, Departures, TickDepartures, absent
from pairsim.model.borders.limits import DEFAULT_LIMITS, BorderLimits
from pairsim.model.borders.messages import (
    Acknowledgement,
    Arrival,
    BorderInputs,
    Bundle,
    ForwardedAnswer,
    ForwardedCommand,
    LinkMessage,
)
from pairsim.model.borders.state import BorderCounters, BorderState, acknowledgement
from pairsim.model.borders.taking import Taken, take

__all__ = [
    "DEFAULT_LIMITS",
    "DIED",
    "Acknowledgement",
    "Answer",
    "AnswerKind",
    "AreaMap",
    "Arrival",
    "BorderCounters",
    "BorderInputs",
    "BorderLimits",
    "BorderState",
    "Bundle",
    "CommandAttempt",
    "Crossings",
    "Decided",
    "Departures",
    "ForwardedAnswer",
    "ForwardedCommand",
    "LinkMessage",
    "Lives",
    "Taken",
    "TickDepartures",
    "absent",
    "acknowledgement",
    "count_lives",
    "cross",
    "decide",
    "settle",
    "take",
]
