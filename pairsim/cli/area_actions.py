"""`pairsim switchover` and `pairsim kill`: what a user does to an area of a local world."""

from __future__ import annotations

import click
import msgspec

from pairsim.cli.local_api import Where, ask, at_world


class _Switched(msgspec.Struct):
    gap_ms: float
    term: int


class _Killed(msgspec.Struct):
    replica: str
    pid: int


@click.command()
@click.argument("area")
@at_world
def switchover(area: str, where: Where) -> None:
    """Makes the passive of AREA its active, and the other way round."""
    done = ask(where, "/v1/switchover", _Switched, {"area": area})
    click.echo(f"{area} switched over: it stood still for {done.gap_ms:.1f} ms; term {done.term}")


@click.command()
@click.argument("area")
@click.option(
    "--role", type=click.Choice(["active", "passive", "witness"]), default="active", show_default=True,
    help="Which of its processes.",
)  # fmt: skip
@at_world
def kill(area: str, role: str, where: Where) -> None:
    """Kill -9 for a process of AREA, to see that nothing is lost."""
    done = ask(where, "/v1/kill", _Killed, {"area": area, "role": role})
    click.echo(f"killed {done.replica}, the {role} of {area} (pid {done.pid})")
