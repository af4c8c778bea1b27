"""The extras of the package: what each command needs, and the sentence that it gives without them."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.unit.manifests.rendered import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULES = {"prometheus-client": "prometheus_client", "pyyaml": "yaml"}
"""The modules of packages that have another name."""

BLOCKED = """
import importlib, sys
from importlib.abc import MetaPathFinder
class Block(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
sys.argv = {words}
importlib.import_module({module!r}).main()
"""


def modules(*extras: str) -> set[str]:
    """Returns the modules that the base dependencies and these extras bring."""
    groups = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    names = {Requirement(line).name for group in groups for line in group}
    return {MODULES.get(name, name) for name in names}


ALL = modules("simulator", "controller", "chaos")


def run(installed: set[str], module: str, *words: str) -> tuple[int, str]:
    """Runs a command in a process that lacks the other extras; returns its exit code and its output."""
    code = BLOCKED.format(blocked=repr(ALL - installed), words=repr(["pairsim", *words]), module=module)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def test_the_help_lists_every_command_without_any_extra() -> None:
    code, output = run(modules(), "pairsim.cli", "--help")
    assert code == 0
    listed = {line.split()[0] for line in output.partition("Commands:\n")[2].splitlines()}
    assert {"up", "status", "send", "switchover", "kill", "simulator", "witness", "leave", "install"} <= listed
    assert "Needs pip install 'pairsim[simulator,controller]'." in output


@pytest.mark.parametrize(
    "words", [("status",), ("send", "west", "despawn", "1"), ("switchover", "west"), ("kill", "west")]
)
def test_a_client_needs_no_extra(words: tuple[str, ...]) -> None:
    code, output = run(modules(), "pairsim.cli", *words, "--port", "9")
    assert (code, output.splitlines()) == (
        1,
        ["Error: no world runs on port 9: start one with `pairsim up WORLD.yaml`, or give its --port"],
    )


def test_a_pod_leaves_and_installs_without_any_extra() -> None:
    assert run(modules(), "pairsim.cli", "leave", "--url", "http://127.0.0.1:9")[0] == 0
    assert run(modules(), "pairsim.cli", "install", "--help")[0] == 0


@pytest.mark.parametrize(
    ("module", "words", "extra"),
    [
        ("pairsim.cli", ("simulator", "--name", "a"), "simulator"),
        ("pairsim.cli", ("witness", "--name", "a"), "simulator"),
        ("pairsim.cli", ("up", "examples/two-areas.yaml"), "simulator,controller"),
        ("pairsim_controller.__main__", ("--namespace", "x"), "controller"),
        ("pairsim_chaos.__main__", ("lint", "x.yaml"), "chaos"),
    ],
)
def test_a_command_without_its_extra_names_it(module: str, words: tuple[str, ...], extra: str) -> None:
    code, output = run(modules(), module, *words)
    assert code == 1
    assert output.count("\n") == 1
    assert output.endswith(f" is not installed: run pip install 'pairsim[{extra}]'\n")


@pytest.mark.parametrize(
    ("extras", "module", "words"),
    [
        (("simulator",), "pairsim.cli", ("simulator", "--help")),
        (("simulator",), "pairsim.cli", ("witness", "--help")),
        (("simulator", "controller"), "pairsim.cli", ("up", "--help")),
        (("controller",), "pairsim_controller.__main__", ("--help",)),
        (("chaos",), "pairsim_chaos.__main__", ("lint", "chaos/experiments/kill-active.yaml")),
        (("chaos",), "pairsim_chaos.__main__", ("run", "--help")),
    ],
)
def test_a_command_runs_with_its_extra_alone(extras: tuple[str, ...], module: str, words: tuple[str, ...]) -> None:
    code, output = run(modules(*extras), module, *words)
    assert code == 0, output


@pytest.mark.parametrize(
    "module", ["pairsim.server.run", "pairsim.replication.process.simulator", "pairsim.simulators.physics"]
)
def test_the_extra_simulator_brings_all_that_a_simulator_imports(module: str) -> None:
    code = BLOCKED.format(blocked=repr(ALL - modules("simulator")), words=[""], module=module).rpartition(".main()")[0]
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_the_extra_all_is_the_sum_of_the_others() -> None:
    assert PROJECT["optional-dependencies"]["all"] == ["pairsim[simulator,controller,chaos]"]
    assert "pairsim[all]" in PROJECT["optional-dependencies"]["dev"]
