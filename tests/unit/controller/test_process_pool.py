from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pairsim.system.port_choice import PortRanges
from pairsim_controller.local.data_folder import DataFolder
from pairsim_controller.local.netns import NetworkNamespaces
from pairsim_controller.local.process import ProcessSpec, Termination
from pairsim_controller.local.process_pool import PoolError, ProcessPool, recorded_network
from pairsim_controller.plan.view import Kind

WAITS = "import signal; signal.pause()"
STUBBORN = """
import signal
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, signal.SIG_IGN)
print('ready', flush=True)
signal.pause()
"""
REPORTS = """
import os, signal, sys, time
def report(text):
    os.write(1, text)  # print() raises in a handler that interrupts another print()
signal.signal(signal.SIGTERM, lambda *_: report(b'stops alone\\n'))
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(report(b'stops with the world\\n')))
report(b'ready\\n')
while True:
    time.sleep(0.01)  # a signal just before pause() would be handled only after the next one
"""
FAILS = "import sys; sys.exit(3)"
HOST = "127.0.0.1"


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def pool(
    folder: DataFolder, program: str = WAITS, *, command: tuple[str, ...] = (), options: tuple[str, ...] = ()
) -> AsyncIterator[ProcessPool]:
    """Yields a pool whose processes run `program` instead of a simulator; `pool.told` has its messages."""
    told: list[str] = []
    made = ProcessPool(
        folder,
        HOST,
        on_change=lambda: None,
        report=told.append,
        command=command or (sys.executable, "-S", "-c", program),
        options=options,
    )
    made.told = told  # type: ignore[attr-defined]
    try:
        yield made
    finally:
        await made.stop(frozenset(), timeout=0.2)


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def command_line(pid: int | None) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]


def proc_status(pid: int | None) -> str:
    return Path(f"/proc/{pid}/status").read_text()


async def test_every_process_gets_the_options_of_the_pool(tmp_path: Path) -> None:
    async with pool(DataFolder(tmp_path), options=("--allow-origin", "http://localhost:3000")) as made:
        made.start(1)
        await until(lambda: all(process.pid for process in made.processes.values()))
        for process in made.processes.values():
            assert command_line(process.pid)[-2:] == ["--allow-origin", "http://localhost:3000"]


async def test_names_and_ports_are_the_same_at_the_next_start(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    async with pool(folder) as first:
        first.start(2)
        specs = {name: p.spec for name, p in first.processes.items()}
    async with pool(folder) as second:
        second.start(3)
        assert {name: p.spec for name, p in second.processes.items() if name in specs} == specs
        assert list(second.processes) == ["sim-1", "sim-2", "witness-1", "sim-3"]
    ports = [port for spec in specs.values() for port in (spec.http_port, spec.peer_port)]
    assert len(set(ports)) == len(ports)


async def test_a_taken_port_is_replaced_unless_peers_know_it(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    async with pool(folder) as first:
        first.start(1)
        taken = first.processes["sim-1"].spec.peer_port
    with socket.create_server((HOST, taken)):
        async with pool(folder) as second:
            with pytest.raises(
                PoolError,
                match=rf"port {taken}, by which the peers of sim-1 know it, is taken by \S+ \(pid {os.getpid()}\)",
            ):
                second.start(1, members=frozenset({"sim-1"}))
            assert not second.processes
            second.start(1)
            assert second.processes["sim-1"].spec.peer_port != taken


async def test_ports_are_outside_the_range_of_outgoing_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = PortRanges(range(1024, 30_000), frozenset({30_000}))
    monkeypatch.setattr("pairsim_controller.local.process_pool.read_port_ranges", lambda: ranges)
    async with pool(DataFolder(tmp_path)) as one:
        one.start(2)
        specs = [process.spec for process in one.processes.values()]
        assert all(30_000 < port < 32_000 for spec in specs for port in (spec.http_port, spec.peer_port))


async def test_an_address_of_another_machine_is_reported(tmp_path: Path) -> None:
    strange = ProcessPool(DataFolder(tmp_path), "203.0.113.1", on_change=lambda: None, report=lambda _: None)
    with pytest.raises(PoolError, match="no free ports at 203"):
        strange.start(1)


async def test_a_killed_process_is_started_again(tmp_path: Path) -> None:
    async with pool(DataFolder(tmp_path)) as one:
        one.start(1)
        process = one.processes["sim-1"]
        await until(lambda: process.pid)
        before = process.terminate()
        await until(lambda: process.pid not in {None, before})
        assert process.restarts == 1
        assert any("sim-1 was ended by signal 9 (Killed)" in sentence for sentence in one.told)  # type: ignore[attr-defined]


async def test_a_process_that_has_just_ended_cannot_be_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_pid: int, _number: int) -> None:
        raise ProcessLookupError

    async with pool(DataFolder(tmp_path)) as one:
        one.start(1)
        await until(lambda: one.processes["sim-1"].pid)
        with monkeypatch.context() as patch:
            patch.setattr("pairsim_controller.local.process.os.kill", gone)
            assert one.processes["sim-1"].terminate() is None


async def test_a_killed_pool_ends_at_once_and_for_good(tmp_path: Path) -> None:
    async with pool(DataFolder(tmp_path), STUBBORN) as one:
        one.start(1)
        for process in one.processes.values():
            await until(lambda log=process.folder / "log": log.exists() and "ready\n" in log.read_text())
        stopping = asyncio.create_task(one.stop(frozenset({"sim-1"}), timeout=60))
        await asyncio.sleep(0)
        one.kill()
        async with asyncio.timeout(10):
            await stopping
        assert all(process.pid is None and process.restarts == 0 for process in one.processes.values())
        assert one.told == []  # type: ignore[attr-defined]


async def test_repeated_failures_are_reported_with_the_log(tmp_path: Path) -> None:
    async with pool(DataFolder(tmp_path), FAILS) as one:
        one.start(1)
        await until(lambda: one.processes["sim-1"].restarts >= 2)
        sentences = [s for s in one.told if s.startswith("sim-1")]  # type: ignore[attr-defined]
        assert "ended with exit code 3" in sentences[0]
        assert str(tmp_path / "sim-1" / "log") in sentences[0]
        assert "ended with exit code 3, 2 times in a row; it is started again in 0.2 s" in sentences[1]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "the replica thread failed: AssertionError at growth.py:51",
            " (the replica thread failed: AssertionError at growth.py:51);",
        ),
        ("timestamp='2026' level='info' event='ready'", "exit code 70;"),
        ("", "exit code 70;"),
    ],
)
async def test_the_last_log_line_is_reported(tmp_path: Path, line: str, expected: str) -> None:
    code = f"import sys; print({line!r}, file=sys.stderr); sys.exit(70)"
    async with pool(DataFolder(tmp_path), command=(sys.executable, "-c", code)) as one:
        one.start(0)
        await until(lambda: one.told)  # type: ignore[attr-defined]
        assert expected in one.told[0]  # type: ignore[attr-defined]


async def test_a_process_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    async with pool(DataFolder(tmp_path), command=("/nowhere/program",)) as one:
        one.start(0)
        await until(lambda: len(one.told) >= 2)  # type: ignore[attr-defined]
        assert "could not be started: No such file or directory" in one.told[0]  # type: ignore[attr-defined]


async def test_stopping_signals_first_and_kills_after_the_timeout(tmp_path: Path) -> None:
    async with pool(DataFolder(tmp_path), STUBBORN) as one:
        one.start(1)
        pids = []
        for process in one.processes.values():
            await until(lambda log=process.folder / "log": log.exists() and "ready\n" in log.read_text())
            await until(lambda process=process: process.pid)
            pids.append(process.pid or 0)
        await one.stop(frozenset({"sim-1"}), timeout=0.1)
        assert not any(map(running, pids))
        assert all(process.pid is None for process in one.processes.values())
        assert one.told == []  # type: ignore[attr-defined]


async def test_a_process_that_ends_while_the_pool_stops_is_not_started_again(tmp_path: Path) -> None:
    async with pool(DataFolder(tmp_path), STUBBORN) as one:
        one.start(1)
        for process in one.processes.values():
            await until(lambda log=process.folder / "log": log.exists() and "ready" in log.read_text())
        last = one.processes["sim-1"]
        await until(lambda: last.pid)
        assert last.pid is not None
        os.kill(last.pid, signal.SIGKILL)
        await one.stop(frozenset({"sim-1"}), timeout=0.3)
        assert last.restarts == 0
        assert one.told == []  # type: ignore[attr-defined]


async def test_a_single_end_and_the_end_of_the_world_have_different_signals(tmp_path: Path) -> None:
    async with pool(DataFolder(tmp_path), REPORTS) as one:
        one.start(1)
        process, log = one.processes["sim-1"], tmp_path / "sim-1" / "log"
        await until(lambda: process.pid and log.exists() and "ready\n" in log.read_text())
        process.terminate(Termination(grace=600))
        await until(lambda: "stops alone" in log.read_text())
        await one.stop(frozenset(), timeout=60)
        assert log.read_text().splitlines() == ["ready", "stops alone", "stops with the world"]


async def test_a_hangup_that_the_pool_ignores_is_ignored_by_its_processes(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with pool(DataFolder(tmp_path), "print('ready', flush=True); " + WAITS) as one:
            one.start(1)
            log = tmp_path / "sim-1" / "log"
            await until(lambda: log.exists() and "ready\n" in log.read_text())
            status = proc_status(one.processes["sim-1"].pid)
            ignored = int(next(line for line in status.splitlines() if line.startswith("SigIgn")).split()[1], 16)
            assert ignored & 1 << (signal.SIGHUP - 1)
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_a_log_stays_short_while_its_process_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pairsim.system.bounded_log.MAX_BYTES", 10)
    folder = tmp_path / "sim-1"
    async with pool(DataFolder(tmp_path), "print('a longer line', flush=True); " + WAITS) as one:
        one.start(1)
        await until(lambda: (folder / "log.1").exists() and "line" in (folder / "log.1").read_text())
        assert (folder / "log").stat().st_size == 0


async def test_processes_do_not_outlive_a_pool_that_was_killed(tmp_path: Path) -> None:
    script = f"""
import asyncio, pathlib, sys
from pairsim_controller.local.data_folder import DataFolder
from pairsim_controller.local.process_pool import ProcessPool
async def main():
    pool = ProcessPool(DataFolder(pathlib.Path({str(tmp_path)!r})), {HOST!r}, on_change=lambda: None, report=print,
                command=(sys.executable, "-S", "-c", {WAITS!r}))
    pool.start(1)
    while not all(p.pid for p in pool.processes.values()):
        await asyncio.sleep(0.01)
    print(*(p.pid for p in pool.processes.values()), flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(20):
        pids = [int(word) for word in (await process.stdout.readline()).split()]
    assert pids
    assert all(map(running, pids))
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await until(lambda: not any(map(running, pids)))


async def test_a_process_is_started_again_after_its_downtime(tmp_path: Path) -> None:
    async with pool(DataFolder(tmp_path)) as one:
        one.start(1)
        process = one.processes["sim-1"]
        await until(lambda: process.pid)
        process.terminate(Termination(downtime=0.5))
        await until(lambda: any("it is started again in 0.5 s" in line for line in one.told))  # type: ignore[attr-defined]
        assert process.pid is None
        await until(lambda: process.restarts == 1)
        process.terminate()
        await until(lambda: process.restarts == 2)
        assert sum("in 0.5 s" in line for line in one.told) == 1  # type: ignore[attr-defined]


async def test_an_ordered_kill_does_not_count_as_a_failure(tmp_path: Path) -> None:
    async with pool(DataFolder(tmp_path)) as one:
        one.start(1)
        process = one.processes["sim-1"]
        for number in range(3):
            await until(lambda number=number: process.pid and process.restarts == number)
            process.terminate()
        await until(lambda: len(one.told) == 3)  # type: ignore[attr-defined]
        assert all("Killed); it is started again in 0.1 s" in line for line in one.told)  # type: ignore[attr-defined]


async def test_restart_now_ends_a_downtime_in_advance(tmp_path: Path) -> None:
    async with pool(DataFolder(tmp_path), STUBBORN) as one:
        one.start(1)
        process = one.processes["sim-1"]
        await until(lambda: (process.folder / "log").exists() and "ready" in (process.folder / "log").read_text())
        pid = process.pid
        assert process.restart_now() == pid, "the process runs"
        process.terminate(Termination(grace=0.2, downtime=600))
        assert process.pid == pid
        assert process.restart_now() is None, "the running process is about to end"
        await until(lambda: process.restarts == 1)
        assert process.restart_now() == process.pid != pid


async def test_a_wiped_process_finds_only_its_log(tmp_path: Path) -> None:
    async with pool(DataFolder(tmp_path)) as one:
        one.start(1)
        process = one.processes["sim-1"]
        await until(lambda: process.pid)
        for path in (process.folder / "west" / "journal", process.folder / "assignment.json"):
            path.parent.mkdir(exist_ok=True)
            path.write_text("kept")
        process.terminate()
        await until(lambda: process.restarts == 1)
        assert {path.name for path in process.folder.iterdir()} == {"log", "west", "assignment.json"}
        process.terminate(Termination(wipe=True))
        await until(lambda: process.restarts == 2)
        assert {path.name for path in process.folder.iterdir()} == {"log"}


async def test_a_process_that_exceeds_its_grace_is_killed(tmp_path: Path) -> None:
    async with pool(DataFolder(tmp_path), STUBBORN) as one:
        one.start(1)
        process = one.processes["sim-1"]
        await until(lambda: (process.folder / "log").exists() and "ready" in (process.folder / "log").read_text())
        process.terminate(Termination(grace=0.1))
        await until(lambda: process.restarts == 1)
        assert any("ended by signal 9" in line for line in one.told)  # type: ignore[attr-defined]


async def test_a_folder_keeps_its_choice_of_isolation(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    async with pool(folder) as first:
        first.start(1)
    networks = cast("NetworkNamespaces", SimpleNamespace(host=lambda number: f"10.0.0.{10 + number}"))
    assert recorded_network(folder) == ""
    other = ProcessPool(folder, HOST, on_change=lambda: None, report=lambda _: None, networks=networks)
    with pytest.raises(PoolError, match="without --isolate, or use another --data folder"):
        other.start(1)
    folder.write("pool.json", [ProcessSpec("sim-1", Kind.SIMULATOR, 1, 2, "10.128.7.10")])
    assert recorded_network(folder) == "10.128.7.0/24"
    with pytest.raises(PoolError, match="with --isolate, or use another --data folder"):
        ProcessPool(folder, HOST, on_change=lambda: None, report=lambda _: None).start(1)
