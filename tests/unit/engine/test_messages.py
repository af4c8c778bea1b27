"""The protocol between a node and its engine: what one side encodes the other decodes, and nonsense is refused."""

from __future__ import annotations

import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairsim.engine.framing import HEADER, PROTOCOL, EngineProtocolError, MessageKind, decode_hello, encode_hello
from pairsim.engine.layout import MemoryLayout
from pairsim.engine.messages import (
    Answer,
    Done,
    Perceived,
    Raised,
    Ready,
    Turn,
    check_done,
    decode_answer,
    decode_memory,
    decode_turn,
    encode_answer,
    encode_memory,
    encode_turn,
    schema_of,
)
from pairsim.engine.port import MAX_PERCEIVED
from pairsim.model.command_schema import Operation
from pairsim.model.commands import Command
from pairsim.model.state.schema import Component
from tests.unit.model.counting import Counting, area

MOST = 2**32 - 1
"""The most rejections that a `DONE` can have."""

COMMANDS = [Command("a", "set", 2**63 - 1, {"x": 0.1, "place": [1.0, float("nan")]}), Command("b", "jump", 0)]
U64 = st.integers(0, 2**64 - 1)
READY = Ready(PROTOCOL, "pairsim", list(Counting.components), list(Counting.operations), ["/g.py"])


def parts(message: bytes) -> tuple[int, bytes]:
    length, kind = HEADER.unpack_from(message)
    assert len(message) == HEADER.size + length
    return kind, message[HEADER.size :]


@pytest.mark.parametrize("kind", [MessageKind.STEP, MessageKind.PERCEIVE])
@given(changed=st.booleans(), tick=U64, rows=U64)
def test_a_turn_arrives_as_it_was_sent(kind: MessageKind, changed: bool, tick: int, rows: int) -> None:
    turn = Turn(1, changed, tick, rows, COMMANDS[1:] if kind is MessageKind.STEP else [])
    number, body = parts(encode_turn(kind, turn))
    assert (number, decode_turn(kind, body)) == (kind, turn)


def test_numbers_of_commands_arrive_bit_for_bit() -> None:
    _kind, body = parts(encode_turn(MessageKind.STEP, Turn(0, False, 1, 1, COMMANDS)))
    assert repr(decode_turn(MessageKind.STEP, body).commands) == repr(COMMANDS)


def test_the_other_requests_arrive_as_they_were_sent() -> None:
    assert decode_hello(parts(encode_hello(area(7, pace=2)))[1]).area == area(7, pace=2)
    layout = MemoryLayout(5, 2**46, (4096, 2**40))
    assert decode_memory(parts(encode_memory(layout))[1]) == layout
    kind, body = parts(encode_turn(MessageKind.POPULATE, Turn(1, False, 9, 9)))
    assert (kind, decode_turn(MessageKind.POPULATE, body).table) == (MessageKind.POPULATE, 1)


@pytest.mark.parametrize(
    "answer",
    [
        Done(7, 10, ids_changed=True, seconds=0.25, rejected={0: "no", 9: "é" * 70}),
        Done(),
        Perceived(COMMANDS[1:]),
        Raised("it raised", "Traceback"),
        READY,
    ],
)
def test_an_answer_arrives_as_it_was_sent(answer: Answer) -> None:
    assert decode_answer(*parts(encode_answer(answer)), MOST) == answer


def test_reasons_are_bounded_and_can_be_shown() -> None:
    done = decode_answer(*parts(encode_answer(Done(rejected={0: "x" * 9999, 1: "\ud800", 2: ""}))), 3)
    assert isinstance(done, Done)
    assert len(done.rejected[0]) == 140
    assert done.rejected[1] == "?"
    assert done.rejected[2] == "the simulator rejected it without a reason"


@pytest.mark.parametrize(
    ("kind", "body", "sentence"),
    [
        (77, b"", "sent a message of the unknown kind 77"),
        (MessageKind.STEP, b"", f"sent a message of the unknown kind {MessageKind.STEP.value}"),
        (MessageKind.DONE, b"short", "sent a DONE that cannot be read"),
        (MessageKind.DONE, struct.pack("<QQIId", 1, 1, 0, 2**32 - 1, 0), "sent a DONE that cannot be read"),
        (MessageKind.DONE, struct.pack("<QQIIdII", 1, 1, 0, 1, 0, 0, 99), "sent a DONE that ends within a reason"),
        (MessageKind.DONE, struct.pack("<QQIId", 1, 1, 0, 0, 0) + b"more", "sent a DONE with 4 bytes too many"),
        (MessageKind.PERCEIVED, b"\x91\x01", "sent a PERCEIVED that cannot be read"),
        (MessageKind.PERCEIVED, b"\x91" * 5000, "sent a PERCEIVED that cannot be read"),
        (
            MessageKind.PERCEIVED,
            msgspec.msgpack.encode([COMMANDS[1]] * (MAX_PERCEIVED + 1)),
            "perceived 5,001 commands in a tick, and 5,000 are the most",
        ),
        (MessageKind.READY, b"{}", "sent a READY that cannot be read"),
        (MessageKind.READY, b'{"protocol": 2, "engine": "", "components": []}', "speaks version 2 of the protocol"),
        (MessageKind.RAISED, b"[1]", "sent a RAISED that cannot be read"),
    ],
)
def test_an_answer_that_breaks_the_protocol_is_named(kind: int, body: bytes, sentence: str) -> None:
    with pytest.raises(EngineProtocolError) as refused:
        decode_answer(kind, body, MOST)
    assert str(refused.value).startswith(sentence)


@given(kind=st.sampled_from(MessageKind), body=st.binary(max_size=64))
def test_any_bytes_are_an_answer_or_a_broken_protocol(kind: MessageKind, body: bytes) -> None:
    try:
        decode_answer(kind, body, MOST)
    except EngineProtocolError:
        return
    assert kind >= MessageKind.READY


@pytest.mark.parametrize(
    ("done", "sentence"),
    [
        (Done(6, 10), "answered for tick 6 when it was asked for tick 7"),
        (Done(7, 2**60), "reported 1,152,921,504,606,846,976 rows of a table that holds 10"),
        (Done(7, 10, rejected={0: "", 3: ""}), "rejected command 3 of a tick with 3 commands"),
    ],
)
def test_an_answer_is_checked_against_its_request(done: Done, sentence: str) -> None:
    check_done(Done(7, 10, rejected={2: ""}), tick=7, commands=3, capacity=10)
    with pytest.raises(EngineProtocolError, match=sentence):
        check_done(done, tick=7, commands=3, capacity=10)


def test_more_rejections_than_commands_are_refused_before_they_are_decoded() -> None:
    kind, body = parts(encode_answer(Done(7, 10, rejected={0: "", 1: "", 2: ""})))
    cut = body[:-1]  # decoding it would be refused as well, with another sentence
    with pytest.raises(EngineProtocolError, match="rejected 3 commands of a request with 2"):
        decode_answer(kind, cut, commands=2)


def test_components_and_operations_have_to_fit_together() -> None:
    assert schema_of(READY) == Counting.components
    twice = Ready(PROTOCOL, "e", [Component("a", "int8")] * 2)
    base = Ready(PROTOCOL, "e", [Component("a", "int8")], [Operation("set")])
    for ready, sentence in ((twice, "two components have the same name"), (base, "has the operation 'set' already")):
        with pytest.raises(EngineProtocolError, match=f"sent a READY that cannot be used: .*{sentence}"):
            schema_of(ready)


def test_texts_of_an_error_are_bounded() -> None:
    raised = decode_answer(MessageKind.RAISED, msgspec.json.encode(Raised("s" * 10**6, "t" * 10**6)), 0)
    assert isinstance(raised, Raised)
    assert (len(raised.sentence), len(raised.traceback)) == (4096, 32768)
    assert decode_answer(MessageKind.RAISED, b'{"sentence": " "}', 0) == Raised(
        "the simulator raised without a sentence"
    )
