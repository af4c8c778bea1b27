"""A simulator that does not look outside has no `perceive`, and its engine is not asked for one."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pairsim.engine.channel import MessageChannel
from pairsim.engine.child.answering import Answering
from pairsim.engine.descriptors import HEADER_BYTES
from pairsim.engine.framing import HEADER, PROTOCOL, MessageKind, encode_hello
from pairsim.engine.host import process
from pairsim.engine.host.process import EngineProcess
from pairsim.engine.in_process import load_in_process
from pairsim.engine.memory_file import make_file
from pairsim.engine.messages import Answer, Done, Perceived, Ready, encode_answer
from pairsim.model.area import AreaSpec
from pairsim.model.commands import Command
from pairsim.model.simulation.simulator import Batch
from pairsim.model.state.schema import Component
from pairsim.model.state.table import Table
from tests.unit.model.counting import Counting, area


class Inward:
    """Counts ticks, and does not look outside."""

    components, operations = Counting.components, Counting.operations

    def __init__(self, area: AreaSpec) -> None:
        self._entities = area.entities

    def prepare(self) -> None:
        """Nothing to compile."""

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        table.spawn(np.arange(self._entities), {})

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        table.column("count")[:] = tick


INWARD = msgspec.structs.replace(area(), simulator=f"{__name__}:Inward")


@pytest.mark.parametrize(("spec", "perceives"), [(INWARD, False), (area(), True)])
def test_an_engine_says_whether_its_simulator_looks_outside(spec: AreaSpec, perceives: bool) -> None:
    answer = Answering().answer(MessageKind.HELLO, encode_hello(spec)[HEADER.size :])
    assert msgspec.json.decode(answer[HEADER.size :], type=Ready).perceives is perceives


def test_a_simulator_without_perceive_computes_and_perceives_nothing() -> None:
    engine = load_in_process(INWARD)
    engine.populate()
    assert engine.perceive(1) == []
    engine.advance(engine.table, [], 1)
    assert engine.table.column("count").tolist() == [1] * INWARD.entities


class AnsweringChild:
    """An engine that answers all requests, and keeps their kinds."""

    pid, reason = 1, ""

    def __init__(self, perceives: bool) -> None:
        mine, theirs = socket.socketpair()
        self.channel, self._theirs, self.memory = MessageChannel(mine), theirs, make_file("tables", HEADER_BYTES)
        self._answers: dict[int, Answer] = {
            MessageKind.HELLO: Ready(PROTOCOL, "e", [Component("value", "int64")], code="c", perceives=perceives),
            MessageKind.MEMORY: Done(),
            MessageKind.PERCEIVE: Perceived([Command("seen", "add", 0)]),
        }
        self.asked: list[int] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        channel = MessageChannel(self._theirs)
        while True:
            try:
                kind, _body = channel.receive()
            except EOFError:
                return
            self.asked.append(kind)
            channel.send(encode_answer(self._answers[kind]))

    def on_ready(self) -> None:
        """Watches nothing."""

    def close(self) -> None:
        self.channel.shut()
        self._thread.join()
        self.channel.close()
        self._theirs.close()
        os.close(self.memory)


@pytest.fixture
def child(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[AnsweringChild]:
    child = AnsweringChild(request.param)
    monkeypatch.setattr(process, "ChildProcess", lambda *_arguments: child)
    yield child
    child.close()


@pytest.mark.parametrize(("child", "perceived"), [(False, []), (True, ["seen"])], indirect=["child"])
def test_an_engine_that_perceives_nothing_is_not_asked(
    child: AnsweringChild, perceived: list[str], tmp_path: Path
) -> None:
    engine = EngineProcess(area(), tmp_path / "log")
    engine.start(30)
    assert [command.id for command in engine.perceive(1)] == perceived
    assert child.asked == [MessageKind.HELLO, MessageKind.MEMORY, *([MessageKind.PERCEIVE] if perceived else [])]
