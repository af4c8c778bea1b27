"""The command lines: every command with its arguments and options, and the exit codes of slips; no prose."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import click
from click.testing import CliRunner

from tests.contract.product import ROOT

_TYPE_KEYS = (
    "choices", "case_sensitive", "min", "max", "min_open", "max_open", "clamp", "exists", "file_okay", "dir_okay",
    "writable", "readable", "allow_dash",
)  # fmt: skip
_SLIPS = {
    "pairsim": [
        [], ["nothing"], ["--nothing"], ["status", "--port", "none"], ["status", "--port", "1"], ["status", "more"],
        ["up"], ["up", "{folder}/none.yaml"], ["send"], ["send", "west"], ["send", "west", "set", "--port", "1"],
        ["switchover"], ["switchover", "west", "--port", "1"], ["kill", "west", "--role", "none"],
        ["kill", "west", "--role", "active", "--port", "1"], ["simulator"], ["simulator", "--name", "a"],
        ["witness", "--name", "A"], ["leave", "--nothing"], ["install", "--nothing"], ["install"],
    ],
    "pairsim-controller": [["--nothing"], ["more"], ["--kubeconfig", "{folder}/none"]],
    "pairsim-chaos": [
        [], ["nothing"], ["run"], ["run", "--nothing"], ["run", "{folder}/none.yaml"], ["lint"],
        ["lint", "{folder}/none.yaml"], ["lint", "{folder}/wrong.yaml"], ["lint", "{folder}/right.yaml"],
        ["soak", "--nothing"], ["probe", "--nothing"],
    ],
}  # fmt: skip
_WRONG = "kind: PodChaos\napiVersion: chaos-mesh.org/v1alpha1\nmetadata: {name: x}\nspec: {action: nothing}\n"
_RIGHT = (
    "kind: PodChaos\napiVersion: chaos-mesh.org/v1alpha1\nmetadata: {name: x, namespace: worlds}\n"
    "spec: {action: pod-kill, mode: one, selector: {namespaces: [a], labelSelectors: {pairsim.io/role: active}}}\n"
)


def project() -> dict[str, object]:
    """Reads the project's metadata."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert isinstance(found, dict)
    return found


def entry(name: str) -> click.Command:
    """Loads the command that a user calls by this name, wherever it stands in the code."""
    scripts = project()["scripts"]
    assert isinstance(scripts, dict)
    module, _, attribute = str(scripts[name]).partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    return command


def surface() -> dict[str, object]:
    """Returns all commands, and the names that the package gives to the system."""
    scripts = project()["scripts"]
    points = project()["entry-points"]
    assert isinstance(scripts, dict)
    assert isinstance(points, dict)
    return {
        "entry points": {group: sorted(names) for group, names in points.items()},
        "commands": {name: _command(entry(name)) for name in scripts},
    }


def exit_codes(folder: Path) -> dict[str, int]:
    """Returns how each slip of a user ends."""
    (folder / "wrong.yaml").write_text(_WRONG)
    (folder / "right.yaml").write_text(_RIGHT)
    codes = {}
    for name, slips in _SLIPS.items():
        command = entry(name)
        for words in slips:
            told = " ".join([name, *words]).replace("{folder}/", "")
            result = CliRunner(env={"KUBECONFIG": "", "PAIRSIM_NAME": ""}).invoke(
                command, [word.format(folder=folder) for word in words]
            )
            assert result.exception is None or isinstance(result.exception, SystemExit), (told, result.exception)
            codes[told] = result.exit_code
    return codes


def environment(command: click.Command) -> set[str]:
    """Returns the environment variables that a command and those below it read."""
    found = {
        variable
        for parameter in command.params
        for variable in ([parameter.envvar] if isinstance(parameter.envvar, str) else parameter.envvar or [])
    }
    for inner in _below(command).values():
        found |= environment(inner)
    return found


def _below(command: click.Command) -> dict[str, click.Command]:
    if not isinstance(command, click.Group):
        return {}
    context = click.Context(command)
    found = {name: command.get_command(context, name) for name in command.list_commands(context)}
    return {name: inner for name, inner in found.items() if inner is not None}


def _command(command: click.Command) -> dict[str, object]:
    described: dict[str, object] = {"hidden": command.hidden} if command.hidden else {}
    arguments = [_parameter(one) for one in command.params if isinstance(one, click.Argument)]
    options = {"/".join(one.opts + one.secondary_opts): _parameter(one)
               for one in command.params if isinstance(one, click.Option)}  # fmt: skip
    described |= {"arguments": arguments} if arguments else {}
    described |= {"options": dict(sorted(options.items()))} if options else {}
    below = _below(command)
    described |= {"commands": {name: _command(inner) for name, inner in sorted(below.items())}} if below else {}
    return described


def _parameter(one: click.Parameter) -> dict[str, object]:
    kind = one.type.to_info_dict()
    default = one.to_info_dict()["default"]
    described: dict[str, object] = {
        "type": one.type.name,
        **{key: kind[key] for key in _TYPE_KEYS if key in kind},
        "nargs": one.nargs,
        "required": one.required,
        "default": default if isinstance(default, str | int | float | bool | None) else str(default),
    }
    rare = {
        "environment": one.envvar,
        "multiple": one.multiple,
        "flag": getattr(one, "is_flag", False),
        "hidden": getattr(one, "hidden", False),
        "eager": one.is_eager,
    }
    return described | {name: value for name, value in rare.items() if value}
