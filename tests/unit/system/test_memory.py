"""The memory of control groups of both versions and of the machine, from files as the kernel writes them."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from pairsim.system.memory import MemoryAllowance, oom_kills, read_memory

KB, MB = 1024, 10**6
MEMINFO = (
    "MemTotal:  4000 kB\nMemFree: 10 kB\nMemAvailable:  3000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\nHugePages_Total: 0\n"
)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    folder = tmp_path / "proc"
    (folder / "self").mkdir(parents=True)
    (folder / "meminfo").write_text(MEMINFO)
    return folder


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"memory.{name}").write_text(f"{content}\n")


def test_without_a_limit_the_machine_counts(proc: Path, tmp_path: Path) -> None:
    (proc / "self" / "cgroup").write_text("0::/\n")
    group(tmp_path / "cg", max="max", current="1", stat="anon 1")
    assert read_memory(proc, tmp_path / "cg") == MemoryAllowance(4000 * KB, 3000 * KB)
    assert read_memory(proc, tmp_path / "nothing") == MemoryAllowance(4000 * KB, 3000 * KB)


def test_swap_is_memory(proc: Path, tmp_path: Path) -> None:
    (proc / "meminfo").write_text(
        MEMINFO.replace("SwapTotal: 0", "SwapTotal: 100").replace("SwapFree: 0", "SwapFree: 50")
    )
    (proc / "self" / "cgroup").write_text("0::/\n")
    group(tmp_path / "cg", max="1000000", current="400000", stat="inactive_file 0")
    assert read_memory(proc, tmp_path / "cg") == MemoryAllowance(MB + 100 * KB, MB - 400_000 + 100 * KB)


def test_the_tightest_group_of_version_2_counts_and_file_pages_are_free(proc: Path, tmp_path: Path) -> None:
    (proc / "self" / "cgroup").write_text("0::/pods/one\n")
    group(tmp_path / "cg" / "pods", max="2000000", current="1900000", stat="anon 5\ninactive_file 0\nactive_file 0")
    group(tmp_path / "cg" / "pods" / "one", max="1000000", current="900000", stat="inactive_file 300000\nactive_file 1")
    assert read_memory(proc, tmp_path / "cg") == MemoryAllowance(1_000_000, 100_000)


@pytest.mark.parametrize("inside", ["/pods/one", "/only/known/outside"])
def test_a_group_of_version_1_counts_also_where_a_container_sees_it_at_the_root(
    proc: Path, tmp_path: Path, inside: str
) -> None:
    (proc / "self" / "cgroup").write_text(f"9:name=systemd:/\n4:memory:{inside}\n2:cpu,cpuacct:/x\n0::/\n")
    files = {"limit_in_bytes": "1000000", "usage_in_bytes": "600000", "stat": "rss 1\ntotal_inactive_file 50000"}
    group(tmp_path / "cg" / "memory" / (inside.lstrip("/") if "pods" in inside else ""), **files)
    assert read_memory(proc, tmp_path / "cg") == MemoryAllowance(1_000_000, 450_000)


@pytest.mark.parametrize("content", ["", "MemTotal: much kB\n", "nonsense"])
def test_an_unknown_system_tells_nothing(proc: Path, tmp_path: Path, content: str) -> None:
    (proc / "meminfo").write_text(content)
    assert read_memory(proc, tmp_path) is None


def test_this_machine_is_read() -> None:
    memory = read_memory()
    assert memory is not None
    assert 0 < memory.available <= memory.limit
    assert 0 < memory.own <= memory.limit


def process(folder: Path, pages: str, **children: str) -> None:
    """Writes the files of a process whose threads have these children."""
    (folder / "statm").parent.mkdir(exist_ok=True)
    (folder / "statm").write_text(f"9999 {pages} 5 0 99 0\n")
    for thread, numbers in children.items():
        (folder / "task" / thread).mkdir(parents=True)
        (folder / "task" / thread / "children").write_text(f"{numbers} ")


def test_the_memory_of_descendants_counts_without_what_is_shared(proc: Path, tmp_path: Path) -> None:
    """An engine maps the tables of its node, and the code of the author may start processes."""
    (proc / "self" / "cgroup").write_text("0::/\n")
    process(proc / "self", "50 9", first="", second="7 8")
    process(proc / "7", "40 30", only="71")
    process(proc / "71", "3 1", only="")
    process(proc / "8", "20 20", gone="99")
    memory = read_memory(proc, tmp_path)
    assert memory is not None
    assert memory.own == (50 + 10 + 2) * resource.getpagesize()


def test_kills_for_the_lack_of_memory_are_counted(tmp_path: Path) -> None:
    (tmp_path / "vmstat").write_text("nr_free_pages 5\noom_kill 3\n")
    assert oom_kills(tmp_path / "vmstat") == 3
    assert oom_kills(tmp_path / "nothing") == 0
