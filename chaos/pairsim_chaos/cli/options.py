"""The options that all commands share which run experiments."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import click
import msgspec

from pairsim.system.output import print_line
from pairsim_chaos.local.target import LocalTarget
from pairsim_chaos.run.runner import RunTiming

if TYPE_CHECKING:
    from pairsim_chaos.cluster.target import ClusterTarget


class _Seconds(click.FloatRange):
    """A positive, finite number of seconds; `nan` would pass a check against bounds."""

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value} is not a number of seconds.", param, ctx)
        return seconds


SECONDS = _Seconds(min=0, min_open=True)
F = TypeVar("F", bound=Callable[..., None])


class RunOptions(msgspec.Struct, frozen=True):
    """The values of the shared options.

    Attributes:
        host, port: The address of the world on this machine.
        cluster: Whether the world runs on Kubernetes.
        kubeconfig: The credentials of the cluster; None for the service account of the pod.
        namespace: The namespace of the world; None for the namespace of the credentials.
        recovery_timeout: Seconds that the world may take to become redundant after a fault.
        warm_up: Seconds of undisturbed observation before a fault, and after the recovery.
        seed: The seed of random choices; None for a new one.
        json_file, junit_file: The files for the verdicts; None if they are not written.
    """

    host: str
    port: int
    cluster: bool
    kubeconfig: Path | None
    namespace: str | None
    recovery_timeout: float
    warm_up: float
    seed: int | None
    json_file: Path | None
    junit_file: Path | None

    @property
    def quiet(self) -> bool:
        """Returns whether standard output is reserved for the JSON document."""
        return self.json_file == Path("-")

    @property
    def timing(self) -> RunTiming:
        """Returns the timing of every experiment; the world settles for at least 1 s."""
        return RunTiming(recovery_timeout=self.recovery_timeout, warm_up=self.warm_up, settle=max(self.warm_up, 1.0))

    def target(self, max_duration: float, seed: int, *, injects: bool) -> LocalTarget | ClusterTarget:
        """Returns the chosen target, which is not open yet.

        Args:
            max_duration: The longest duration of a fault in seconds, whatever its file says.
            seed: The seed of random choices.
            injects: Whether faults are going to be injected.
        """
        if self.cluster:
            from pairsim_chaos.cluster.target import ClusterTarget  # noqa: PLC0415 - its imports double a start's time

            return ClusterTarget(self.kubeconfig, self.namespace, max_duration=max_duration)
        return LocalTarget(self.host, self.port, max_duration=max_duration, seed=seed, injects=injects, log=self.log)

    def log(self, sentence: str) -> None:
        """Prints a sentence with the time, unless standard output is reserved for JSON."""
        if not self.quiet:
            print_line(f"{time.strftime('%H:%M:%S')}  {sentence}")


def run_options(command: F) -> F:
    """Adds the shared options to a command, which receives them as one argument `options`."""

    @click.option("--host", default="127.0.0.1", show_default=True, help="The host on which `pairsim up` listens.")
    @click.option(
        "--port",
        type=click.IntRange(1, 65535),
        default=8080,
        show_default=True,
        help="The port on which `pairsim up` listens.",
    )
    @click.option(
        "--cluster",
        is_flag=True,
        help="Uses a world on Kubernetes with Chaos Mesh; its pods must be reachable (not supported by soak).",
    )
    @click.option(
        "--kubeconfig",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        envvar="KUBECONFIG",
        help="The credentials of the cluster, with --cluster (not supported by soak). [default: those of the pod]",
    )
    @click.option(
        "--namespace",
        envvar="POD_NAMESPACE",
        help="The namespace of the world, with --cluster (not supported by soak). [default: that of the credentials]",
    )
    @click.option(
        "--recovery-timeout",
        "--whole",
        "recovery_timeout",
        type=SECONDS,
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="The time that all areas may take to become redundant, before the first fault and after each fault.",
    )
    @click.option(
        "--warm-up",
        "--calm",
        "warm_up",
        type=SECONDS,
        default=2.0,
        show_default=True,
        metavar="SECONDS",
        help="The time of undisturbed observation before a fault, and again after the world has recovered.",
    )
    @click.option(
        "--seed",
        type=int,
        default=None,
        help="The seed of random choices, to repeat a run. [default: a new seed, printed at the start]",
    )
    @click.option(
        "--json",
        "json_file",
        type=click.Path(path_type=Path),
        help="Writes the verdicts to this file as JSON; - means standard output.",
    )
    @click.option(
        "--junit", "junit_file", type=click.Path(path_type=Path), help="Writes the verdicts to this file as JUnit XML."
    )
    @functools.wraps(command)
    def wrapped(  # noqa: PLR0913 - one parameter for each option
        *args: object,
        host: str,
        port: int,
        cluster: bool,
        kubeconfig: Path | None,
        namespace: str | None,
        recovery_timeout: float,
        warm_up: float,
        seed: int | None,
        json_file: Path | None,
        junit_file: Path | None,
        **others: object,
    ) -> None:
        options = RunOptions(
            host, port, cluster, kubeconfig, namespace, recovery_timeout, warm_up, seed, json_file, junit_file
        )
        command(*args, options=options, **others)

    return cast("F", wrapped)
