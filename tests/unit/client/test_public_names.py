"""The client's public names, and the few packages that it needs."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pairsim.client
from pairsim.client import errors

_ABSENT = (
    "click", "cryptography", "jsonschema", "kubernetes", "numba", "numcodecs", "prometheus_client", "pysyncobj", "rich",
    "structlog", "xxhash", "yaml",
)  # fmt: skip

_BLOCK = f"""
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {_ABSENT!r}:
            raise ImportError(f"{{name}} is not installed")

sys.meta_path.insert(0, Absent())
"""


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_public_names_are_listed_in_order() -> None:
    public = [
        name
        for name, value in vars(pairsim.client).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    ]
    assert pairsim.client.__all__ == sorted(public)


def test_every_error_is_public() -> None:
    found = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert found <= set(pairsim.client.__all__)


def test_public_classes_are_documented() -> None:
    for name in pairsim.client.__all__:
        value = getattr(pairsim.client, name)
        assert not isinstance(value, type) or (value.__doc__ or "").strip(), name


def test_the_client_needs_three_packages_only() -> None:
    used = run_python(
        _BLOCK
        + """
import asyncio
from pairsim.client import AreaClient, ProcessClient, Unavailable
from pairsim.client.observation import Continuity
from pairsim.model.commands import Command
from pairsim.protocol.interest import apply

async def main():
    async with AreaClient(["http://127.0.0.1:1"], area="north", deadline=0.05) as client:
        try:
            await client.send([Command("c0", "spawn", 1)])
        except Unavailable:
            print("sent")
    async with ProcessClient("http://127.0.0.1:1", deadline=0.05):
        print("made")

asyncio.run(main())
"""
    )
    assert used.split() == ["sent", "made"]


def test_the_client_loads_numpy_and_replication_only_when_needed() -> None:
    loaded = run_python(
        "import sys, pairsim.client\n"
        "print(*[m for m in sys.modules if m.startswith('pairsim.replication') or m == 'numpy'])"
    )
    assert loaded.split() == []
