"""What a node learns of an engine whose simulator does what it should not: the sentences that users read."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from pairsim.engine.host.process import EngineProcess
from pairsim.engine.port import EngineHungError, EngineLostError, EngineRaisedError
from pairsim.model.area import Detection
from tests.process.engine import faulty
from tests.process.engine.faulty import area, command

FILE = faulty.__file__
HANG_SECONDS = 0.5


def place(fault: Callable[[], None]) -> str:
    """The line of a fault's last statement, as an error names it."""
    lines, first = inspect.getsourcelines(fault)
    marked = [number for number, text in enumerate(lines) if "# here" in text] or [len(lines) - 1]
    return f"{FILE}:{first + marked[0]}"


def started(folder: Path, **options: float) -> EngineProcess:
    detection = Detection(hang_seconds=options.pop("limit", 30.0))
    spec = msgspec.structs.replace(area(**options), detection=detection)  # type: ignore[arg-type]
    engine = EngineProcess(spec, folder / "engine.log")
    try:
        engine.start(60)
        engine.populate()
    except BaseException:
        engine.close()
        raise
    return engine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the shared engine's log."""
    return tmp_path_factory.mktemp("engine")


@pytest.fixture(scope="module")
def shared(folder: Path) -> Iterator[EngineProcess]:
    """An engine for the faults that leave it alive."""
    engine = started(folder)
    yield engine
    engine.close()


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[EngineProcess]:
    """An engine for a fault that ends it."""
    engine = started(tmp_path)
    yield engine
    engine.close()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def tick(engine: EngineProcess, *faults: Callable[[], None], number: int = 1) -> dict[int, str]:
    return engine.advance(engine.table, [command(fault) for fault in faults], number)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faulty.raise_name_error, "NameError: name 'x' is not defined"),
        (faulty.raise_in_numpy, "ValueError: cannot reshape array of size 3 into shape (2,2)"),
        (faulty.raise_system_exit, "SystemExit: enough"),
        (faulty.raise_keyboard_interrupt, "KeyboardInterrupt"),
        (faulty.use_up_memory, "MemoryError: Unable to allocate 1.00 GiB"),
    ],
)
def test_an_error_names_the_line_and_the_engine_goes_on(
    shared: EngineProcess, fault: Callable[[], None], error: str
) -> None:
    before = shared.pid
    with pytest.raises(EngineRaisedError) as raised:
        tick(shared, fault)
    sentence = raised.value.sentence
    assert sentence.startswith(f"the simulator {faulty.SIMULATOR} raised {error}")
    assert sentence.endswith(f" at {place(fault)}")
    assert f"in {fault.__name__}" in raised.value.traceback
    shared.table.resize(10)
    assert tick(shared, number=2) == {}
    assert (shared.table.column("count").tolist(), shared.pid, shared.lost) == ([2] * 10, before, "")


def test_an_error_in_perceive_is_an_error_as_well(tmp_path: Path) -> None:
    engine = started(tmp_path, perceive=0)
    try:
        assert [seen.entity for seen in engine.perceive(5)] == [9]
        with pytest.raises(EngineRaisedError, match=r"NameError.* at .*faulty\.py:"):
            engine.perceive(11)
        assert tick(engine, number=12) == {}
    finally:
        engine.close()


def test_much_output_neither_stops_the_engine_nor_fills_the_disk(shared: EngineProcess, folder: Path) -> None:
    assert tick(shared, faulty.print_much) == {}
    assert tick(shared, number=2) == {}
    dropped = re.compile(
        rb"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \[[\d,]+ bytes of output were dropped", re.MULTILINE
    )
    wait_until(lambda: any(dropped.search(file.read_bytes()) for file in folder.iterdir()), "the loss is logged")
    assert sum(file.stat().st_size for file in folder.iterdir()) < faulty.PRINTED_BYTES // 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faulty.close_connection, "closed its connection to the node"),
        (faulty.write_garbage, "sent a message of 4,294,967,295 bytes, and 8,388,608 are the most"),
        (faulty.write_unknown_kind, "sent a message of the unknown kind 77"),
        (faulty.report_rows, f"reported {2**60:,} rows of a table that holds 50,000,000"),
        (faulty.read_null, f"was ended by SIGSEGV in read_null at {place(faulty.read_null)}"),
        (faulty.exit_silently, "ended with exit code 0"),
        (faulty.fork_and_die, "was ended by SIGKILL"),
    ],
)
def test_an_engine_that_ends_or_talks_nonsense_is_lost(
    victim: EngineProcess, fault: Callable[[], None], reason: str
) -> None:
    with pytest.raises(EngineLostError) as lost:
        tick(victim, fault)
    assert (lost.value.reason, str(lost.value)) == (reason, f"the engine {reason}")
    with pytest.raises(EngineLostError, match=re.escape(reason)):
        victim.perceive(2)
    leader = victim.pid
    victim.close()
    assert not [process for process in psutil.process_iter() if _session(process) == leader and is_alive(process)]
    assert len(victim.table) == 10  # it stays readable


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _session(process: psutil.Process) -> int:
    try:
        return int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[3])
    except OSError:
        return 0


def test_an_answer_that_nothing_asked_for_is_noticed(victim: EngineProcess) -> None:
    assert tick(victim, faulty.answer_twice) == {}
    with pytest.raises(EngineLostError, match=r"answered for tick 1 when it was asked for tick 2|without a request"):
        tick(victim, number=2)


@pytest.mark.parametrize(
    ("fault", "where"),
    [
        (faulty.sleep, f"in sleep at {place(faulty.sleep)}"),
        (faulty.stop, "it is stopped by a signal"),
        (faulty.hold_the_interpreter, f"in hold_the_interpreter at {place(faulty.hold_the_interpreter)}"),
    ],
)
def test_an_engine_that_does_not_answer_is_killed(tmp_path: Path, fault: Callable[[], None], where: str) -> None:
    engine = started(tmp_path, limit=HANG_SECONDS)
    try:
        with pytest.raises(EngineHungError) as hung:
            tick(engine, fault)
        assert str(hung.value) == f"the engine gave no answer for 0.5 s, {where}"
        with pytest.raises(EngineLostError, match=re.escape("gave no answer for 0.5 s and was killed")):
            tick(engine)
        engine.close()
        assert not psutil.pid_exists(engine.pid)
    finally:
        engine.close()
