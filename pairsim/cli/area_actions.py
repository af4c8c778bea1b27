"""`pairsim switchover` and `pairsim kill`: the actions of a user on an area of a local world."""

from __future__ import annotations

import click
import msgspec

from pairsim.cli.local_api import WorldAddress, request, world_options


class _SwitchoverDone(msgspec.Struct):
    gap_ms: float
    term: int


class _KillDone(msgspec.Struct):
    replica: str
    pid: int


@click.command()
@click.argument("area")
@world_options
def switchover(area: str, address: WorldAddress) -> None:
    """Swaps the roles of the active and the passive of AREA."""
    done = request(address, "/v1/switchover", _SwitchoverDone, {"area": area})
    click.echo(f"{area} switched over: it stood still for {done.gap_ms:.1f} ms; term {done.term}")


@click.command()
@click.argument("area")
@click.option(
    "--role", type=click.Choice(["active", "passive", "witness"]), default="active", show_default=True,
    help="The member to kill.",
)  # fmt: skip
@world_options
def kill(area: str, role: str, address: WorldAddress) -> None:
    """Kills a member of AREA with kill -9."""
    done = request(address, "/v1/kill", _KillDone, {"area": area, "role": role})
    click.echo(f"killed {done.replica}, the {role} of {area} (pid {done.pid})")
