"""Commands whose dependencies are an extra of the package: loaded if they are installed, explained if they are not.

A plain `pip install pairsim` brings what a client needs. A command that needs more says so in one sentence.
"""

from __future__ import annotations

from importlib import import_module

import click

_OWN_PACKAGES = frozenset({"pairsim", "pairsim_controller", "pairsim_chaos"})


def load_command(module: str, name: str, extras: str) -> click.Command:
    """Returns a command of a module, or a command that explains which extras it needs.

    Args:
        module: The dotted name of the module.
        name: The name of the command in the module.
        extras: The extras that bring its dependencies, separated by commas.

    Raises:
        ModuleNotFoundError: A module of pairsim itself is missing.
    """
    try:
        command = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        return _explaining_command(name, extras, missing_extra(error, extras))
    if not isinstance(command, click.Command):
        raise TypeError(f"{module}:{name} is not a command")
    return command


def missing_extra(error: ModuleNotFoundError, extras: str) -> click.ClickException:
    """Returns the error that names the extras to install.

    Raises:
        ModuleNotFoundError: The given error, if a module of pairsim itself is missing.
    """
    missing = (error.name or "").partition(".")[0]
    if not missing or missing in _OWN_PACKAGES:
        raise error
    return click.ClickException(f"{missing} is not installed: run pip install 'pairsim[{extras}]'")


def _explaining_command(name: str, extras: str, error: click.ClickException) -> click.Command:
    def explain() -> None:
        raise error

    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(
        name, callback=explain, help=f"Needs pip install 'pairsim[{extras}]'.", context_settings=settings
    )
