"""How experiments are run and told: the options that all commands which run some have."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import click
import msgspec

from pairsim_chaos.cluster.world import ClusterWorld
from pairsim_chaos.local.world import LocalWorld
from pairsim_chaos.run.runner import Pace


class _Seconds(click.FloatRange):
    """More than none, and a number: nan is neither below nor above a bound."""

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value} is no number of seconds.", param, ctx)
        return seconds


SECONDS = _Seconds(min=0, min_open=True)
F = TypeVar("F", bound=Callable[..., None])


class Manner(msgspec.Struct, frozen=True):
    """How experiments are run and told."""

    host: str
    port: int
    cluster: bool
    kubeconfig: Path | None
    namespace: str | None
    whole: float
    calm: float
    seed: int | None
    json_file: Path | None
    junit_file: Path | None

    @property
    def quiet(self) -> bool:
        """Whether standard output is for the JSON alone."""
        return self.json_file == Path("-")

    @property
    def pace(self) -> Pace:
        """Of every experiment."""
        return Pace(whole=self.whole, lead=self.calm, settle=max(self.calm, 1.0))

    def world(self, longest: float, seed: int, *, hurts: bool) -> LocalWorld | ClusterWorld:
        """The one that is meant; see there."""
        if self.cluster:
            return ClusterWorld(self.kubeconfig, self.namespace, longest=longest)
        return LocalWorld(self.host, self.port, longest=longest, seed=seed, hurts=hurts, tell=self.tell)

    def tell(self, sentence: str) -> None:
        """To whoever waits."""
        if not self.quiet:
            click.echo(f"{time.strftime('%H:%M:%S')}  {sentence}")


def with_manner(command: F) -> F:
    """Gives a command these options, as one argument `manner`."""

    @click.option("--host", default="127.0.0.1", show_default=True, help="Of `pairsim up`.")
    @click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Of `pairsim up`.")
    @click.option("--cluster", is_flag=True, help="A world on Kubernetes, with Chaos Mesh; its pods must be reached.")
    @click.option(
        "--kubeconfig",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        envvar="KUBECONFIG",
        help="With --cluster. [default: the pod's service account]",
    )
    @click.option("--namespace", envvar="POD_NAMESPACE", help="With --cluster. [default: that of the credentials]")
    @click.option(
        "--whole",
        type=SECONDS,
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="How long the world may take to become whole after a fault.",
    )
    @click.option(
        "--calm",
        type=SECONDS,
        default=2.0,
        show_default=True,
        metavar="SECONDS",
        help="Before a fault, and after the world is whole again.",
    )
    @click.option("--seed", type=int, default=None, help="Of what is chosen by chance; told at the beginning.")
    @click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the verdicts there; - is stdout.")
    @click.option("--junit", "junit_file", type=click.Path(path_type=Path), help="Write it as JUnit's XML.")
    @functools.wraps(command)
    def wrapped(  # noqa: PLR0913 - one an option
        *args: object,
        host: str,
        port: int,
        cluster: bool,
        kubeconfig: Path | None,
        namespace: str | None,
        whole: float,
        calm: float,
        seed: int | None,
        json_file: Path | None,
        junit_file: Path | None,
        **options: object,
    ) -> None:
        manner = Manner(host, port, cluster, kubeconfig, namespace, whole, calm, seed, json_file, junit_file)
        command(*args, manner=manner, **options)

    return cast("F", wrapped)
