"""The engine's answers, without a process and without tables."""

from __future__ import annotations

import gc

import msgspec
import pytest

from pairsim.engine.child import answering as answering_module
from pairsim.engine.child.answering import Answering
from pairsim.engine.framing import HEADER, EngineProtocolError, MessageKind, encode_hello
from pairsim.engine.layout import make_layout
from pairsim.engine.messages import (
    Answer,
    Done,
    Raised,
    Ready,
    Turn,
    decode_answer,
    encode_memory,
    encode_turn,
)
from pairsim.model.state.table import Table
from tests.unit.model import counting
from tests.unit.model.counting import Counting, area


def asked(answering: Answering, message: bytes) -> Answer:
    _length, kind = HEADER.unpack_from(message)
    answer = answering.answer(kind, message[HEADER.size :])
    return decode_answer(HEADER.unpack_from(answer)[1], answer[HEADER.size :], 100)


def test_a_simulator_is_loaded_and_a_broken_one_is_not_the_end() -> None:
    answering = Answering()
    broken = msgspec.structs.replace(area(), simulator="nowhere:Nothing")
    raised = asked(answering, encode_hello(broken))
    assert isinstance(raised, Raised)
    assert raised.sentence.startswith("the simulator 'nowhere:Nothing' cannot be loaded")
    ready = asked(answering, encode_hello(area()))
    assert isinstance(ready, Ready)
    assert ready.components == list(Counting.components)
    assert (ready.operations, ready.files) == (list(Counting.operations), [counting.__file__])


def test_requests_out_of_order_are_refused() -> None:
    answering = Answering()
    early = [
        encode_memory(make_layout(Counting.components)),
        encode_turn(MessageKind.STEP, Turn(0, ids_changed=False, tick=1, rows=0)),
        encode_turn(MessageKind.POPULATE, Turn(0, ids_changed=False, tick=0, rows=0)),
        HEADER.pack(0, 77),
    ]
    for message in early:
        with pytest.raises(EngineProtocolError, match="which does not belong here"):
            asked(answering, message)
    asked(answering, encode_hello(area()))
    with pytest.raises(EngineProtocolError, match="a message of the kind 1, which does not belong here"):
        asked(answering, encode_hello(area()))


class FakeMemory:
    """Tables without a descriptor."""

    def __init__(self, *_arguments: object) -> None:
        pass

    def table(self, _number: int) -> Table:
        return Table(Counting.components)


def test_no_collection_looks_at_what_was_loaded_once_the_tables_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take tens of milliseconds in the middle of a tick."""
    calls: list[str] = []
    monkeypatch.setattr(gc, "collect", lambda: calls.append("collect"))
    monkeypatch.setattr(gc, "freeze", lambda: calls.append("freeze"))
    monkeypatch.setattr(answering_module, "SharedMemory", FakeMemory)
    answering = Answering()
    asked(answering, encode_hello(area()))
    assert calls == []
    assert isinstance(asked(answering, encode_memory(make_layout(Counting.components))), Done)
    assert calls == ["collect", "freeze"], "garbage would stay for ever"
