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
@click.option("--engine", is_flag=True, help="Kills the member's engine alone, which runs the simulator.")
@world_options
def kill(area: str, role: str, *, engine: bool, address: WorldAddress) -> None:
    """Kills a member of AREA with kill -9.

    Its engine ends with it. The world is one of this machine. On Kubernetes, `kubectl delete pod` kills a member.
    """
    body = {"area": area, "role": role, **({"engine": True} if engine else {})}
    done = request(address, "/v1/kill", _KillDone, body)
    victim = f"the engine of {done.replica}" if engine else done.replica
    click.echo(f"killed {victim}, the {role} of {area} (pid {done.pid})")
