"""The ends of a connection repeat what may have been lost, and no more than that."""

from __future__ import annotations

import pytest

from pairsim.model.borders import Acknowledgement, BorderInputs, BorderState, LinkMessage
from pairsim.model.borders.answers import Answer, AnswerKind
from pairsim.model.borders.messages import ForwardedAnswer
from pairsim.replication.links.arrivals import MAX_ENTRY_BYTES, Arrivals
from pairsim.replication.links.board import LinkState, Posted
from pairsim.replication.links.ends import KEEPALIVE_SECONDS, ReceivingEnd, SendingEnd
from pairsim.replication.links.exchange import LinkExchange
from pairsim.replication.links.messages import Entry, Introduction, LinkMessageError, decode_to_sender, encode_message
from pairsim.replication.links.outbox import Outbox
from tests.unit.replication.tables import SCHEMA

WEST, EAST = 1, 2
TAKEN = Acknowledgement(taken=3, sent=1, clock=9)


def posted(acknowledgement: Acknowledgement = TAKEN, term: int = 4) -> Posted:
    return Posted(term, acknowledgement.clock, number=EAST, links={WEST: LinkState(Outbox(), acknowledgement)})


def receiving() -> ReceivingEnd:
    return ReceivingEnd(encode_message(Introduction(WEST)), posted(), Arrivals(), SCHEMA)


def test_an_acknowledgement_is_repeated() -> None:
    end = receiving()
    due = [end.due(posted(), now) for now in (10.0, 10.0 + KEEPALIVE_SECONDS / 2, 10.0 + 2 * KEEPALIVE_SECONDS)]
    assert [None if frame is None else decode_to_sender(frame) for frame in due] == [TAKEN, None, TAKEN]


def test_an_acknowledgement_that_says_more_is_due_at_once() -> None:
    end, more = receiving(), Acknowledgement(taken=3, sent=2, clock=10)
    assert end.due(posted(), 10.0) is not None
    frame = end.due(posted(more), 10.0)
    assert frame is not None
    assert decode_to_sender(frame) == more
    assert end.due(posted(Acknowledgement(taken=3, sent=2, clock=11)), 10.0) is None


def test_a_repeated_acknowledgement_is_no_input() -> None:
    state = BorderState(WEST)
    for _message in range(3):
        state.send(EAST, ForwardedAnswer(b"k" * 16, Answer(AnswerKind.APPLIED, 1, 7)))
    links = LinkExchange(lambda: state)
    links.begin()
    acknowledgement = Acknowledgement(taken=2, sent=0, clock=9)
    links.arrivals.acknowledge(EAST, acknowledgement)
    assert links.inputs() == BorderInputs(acknowledgements=((EAST, acknowledgement),))
    state.link(EAST).note(acknowledgement, 2)
    links.arrivals.acknowledge(EAST, acknowledgement)
    assert links.inputs() == BorderInputs()
    state.link(EAST).settle()
    links.arrivals.acknowledge(EAST, acknowledgement)
    links.arrivals.acknowledge(3, acknowledgement)
    assert links.inputs() == BorderInputs()


def test_a_sender_gives_a_sign_of_life_and_sends_what_is_due() -> None:
    arrivals = Arrivals()
    end = SendingEnd(EAST, posted(), arrivals, 10.0)
    assert end.due(posted(), 10.0 + KEEPALIVE_SECONDS / 2) == []
    assert end.due(posted(), 10.0 + 2 * KEEPALIVE_SECONDS) == [b""]
    end.read(encode_message(Acknowledgement(taken=0, sent=0, clock=1)))
    message = LinkMessage(ForwardedAnswer(b"k" * 16, Answer(AnswerKind.APPLIED, 1, 7)), 5, 0)
    more = Posted(4, 10, number=WEST, links={EAST: LinkState(Outbox(1, (message,)), TAKEN)})
    assert len(end.due(more, 11.0)) == 1
    assert end.due(more, 11.0) == []


def test_an_end_lasts_as_long_as_its_leadership() -> None:
    sender = SendingEnd(EAST, posted(), Arrivals(), 10.0)
    for end in (sender, receiving()):
        assert end.lasts(posted())
        assert not end.lasts(posted(term=5))
        assert not end.lasts(Posted())


def test_a_connection_begins_with_an_introduction_to_an_active() -> None:
    with pytest.raises(LinkMessageError, match="introduces itself first"):
        ReceivingEnd(encode_message(Entry(1, b"")), posted(), Arrivals(), SCHEMA)
    with pytest.raises(LinkMessageError, match="not the active"):
        ReceivingEnd(encode_message(Introduction(WEST)), Posted(), Arrivals(), SCHEMA)
    with pytest.raises(LinkMessageError):
        ReceivingEnd(encode_message(Introduction(0)), posted(), Arrivals(), SCHEMA)


def test_an_entry_that_no_record_holds_ends_its_connection() -> None:
    end = receiving()
    with pytest.raises(LinkMessageError, match=r"an entry of 3,407,873 bytes is over the limit of 3,407,872"):
        end.read(encode_message(Entry(1, bytes(MAX_ENTRY_BYTES + 1))))
