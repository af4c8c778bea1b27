"""`pairsim-chaos run` and `soak`: experiments against a world, and a verdict."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from rich.console import Console

from pairsim.model.documents.yaml import YamlError
from pairsim.server.http.listener import serve_app
from pairsim_chaos.cli.options import SECONDS, Manner, with_manner
from pairsim_chaos.experiment.experiment import Experiment, ExperimentError, load_experiments
from pairsim_chaos.run.random_plan import faults, plan
from pairsim_chaos.run.runner import Runner, seed_or_new
from pairsim_chaos.run.verdict_server import VerdictServer
from pairsim_chaos.spec.yaml_source import read
from pairsim_chaos.target import WorldError
from pairsim_chaos.verdict.checks import Verdict
from pairsim_chaos.verdict.report import all_held, as_json, as_junit, explanations, summary, table

_WIDTH = 140
_ENDED = 130
_NOTHING, _UNTOLD = 2, 3
_ANY = 3600.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command("run")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--at-most", type=SECONDS, default=3600.0, metavar="SECONDS",
    help="Faults last no longer than that, whatever their files say; with --cluster, nor does a Workflow.",
)  # fmt: skip
@with_manner
@click.pass_context
def run_command(context: click.Context, files: tuple[Path, ...], at_most: float, manner: Manner) -> None:
    """Runs the experiments of FILES against a world, and says whether everything held.

    The world is one that `pairsim up` runs on this machine, or with --cluster one on Kubernetes.

    Links between processes can be cut only if the world was started with `pairsim up --isolate`. Exit code 0:
    everything that was made held; 1: something did not; 2: nothing could be made; 3: the verdict could not be written.
    """
    experiments = read_all(files)
    check_writable(manner)
    seed = seed_or_new(manner.seed)
    manner.tell(f"{len(experiments)} experiment(s), seed {seed}")
    with _fit():
        ended = asyncio.run(_run(iter(experiments), manner, at_most, seed))
    context.exit(_end(*ended, manner))


@click.command("soak")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--seconds", type=SECONDS, default=600.0, show_default=True, metavar="SECONDS", help="Until when.")
@with_manner
@click.pass_context
def soak_command(context: click.Context, files: tuple[Path, ...], seconds: float, manner: Manner) -> None:
    """Makes the faults of FILES in an order, length and company that chance decides, in a world on this machine.

    It ends at the first experiment that does not hold, and tells the seed that leads there again. What cannot be made
    here is left out. Exit codes are those of `run`.
    """
    if manner.cluster:
        raise click.UsageError("a soak is for a world on this machine: in a cluster, apply a Schedule or a Workflow")
    experiments = [experiment for _, experiment in read_all(files)]
    check_writable(manner)
    seed = seed_or_new(manner.seed)
    with _fit():
        known = faults(asyncio.run(_possible(experiments, manner, seed)))
    if not known:
        raise Unfit("no fault of these files can be made here: `pairsim-chaos run` tells why")
    manner.tell(f"{len(known)} fault(s) for {seconds:g} s, seed {seed}")
    rng, end = random.Random(seed), time.monotonic() + seconds  # noqa: S311 - an order of tests

    def planned() -> Iterator[tuple[Path, Experiment]]:
        number = 0
        while time.monotonic() < end:
            number += 1
            yield Path(), plan(rng, known, number)

    with _fit():
        ended = asyncio.run(_run(planned(), manner, _ANY, seed, stop_at_bad=True))
    context.exit(_end(*ended, manner))


@click.command("probe")
@click.option("--listen", default="127.0.0.1:8079", show_default=True, help="HOST:PORT of GET /verdict.")
@with_manner
def probe_command(listen: str, manner: Manner) -> None:
    """Writes to a world, watches it, and tells over HTTP whether everything holds: 200, or 503 with the reason.

    It goes on until it is ended. `StatusCheck`s of a workflow ask it.
    """
    with contextlib.suppress(KeyboardInterrupt):
        try:
            with _fit():
                asyncio.run(_probe(listen, manner))
        except (OSError, ValueError) as error:
            raise click.ClickException(f"cannot listen at {listen}: {error}") from error


class Unfit(click.ClickException):
    """What is to be run cannot be."""

    exit_code = _NOTHING


@contextlib.contextmanager
def _fit() -> Iterator[None]:
    """A world that nothing can be begun in."""
    try:
        yield
    except WorldError as error:
        raise Unfit(str(error)) from error


def read_all(files: Sequence[Path]) -> list[tuple[Path, Experiment]]:
    """The experiments of all files; what is wrong with them is told as the linter does."""
    found = []
    for path in files:
        try:
            found += [(path, each) for each in load_experiments(read(path))]
        except YamlError as error:
            raise Unfit(f"{path}: {error}") from error
        except ExperimentError as error:
            raise Unfit(f"{path} is not run, `pairsim-chaos lint` finds:\n{error}") from error
    return found


def check_writable(manner: Manner) -> None:
    """Before anything is hurt; afterwards it would be a pity."""
    if manner.junit_file == Path("-"):
        raise click.UsageError("JUnit's XML goes to a file; --json - is for standard output")
    for path in (manner.json_file, manner.junit_file):
        if path is not None and path != Path("-") and (path.is_dir() or not os.access(path.absolute().parent, os.W_OK)):
            raise Unfit(f"{path} cannot be written: there is no such folder, or not for you")


def report(verdicts: Sequence[Verdict], json_file: Path | None, junit_file: Path | None) -> bool:
    """Tells the verdicts, and writes them where it is asked for; whether that could be done."""
    if json_file == Path("-"):
        click.echo(as_json(verdicts).decode())
    else:
        Console(width=_WIDTH).print(table(verdicts))
        for sentence in explanations(verdicts):
            click.echo(sentence)
        click.echo(summary(verdicts))
    written = True
    for path, content in ((json_file, as_json), (junit_file, as_junit)):
        if path is not None and path != Path("-"):
            try:
                _write(path, content(verdicts))
            except OSError as error:
                click.echo(f"Error: {path} cannot be written: {error.strerror}", err=True)
                written = False
    return written


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all; what is no file (a pipe, a terminal) is written to as it is."""
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """See `run`."""
    if not any(verdict.made for verdict in verdicts):
        return _NOTHING
    return 0 if all_held(verdicts) else 1


async def _run(
    experiments: Iterator[tuple[Path, Experiment]],
    manner: Manner,
    at_most: float,
    seed: int,
    *,
    stop_at_bad: bool = False,
) -> tuple[list[Verdict], bool]:
    """The verdicts, and whether it was ended before all were given."""
    _end_by_signal(manner)
    verdicts: list[Verdict] = []
    unfinished: list[Verdict] = []
    async with manner.world(at_most, seed, hurts=True) as world:
        runner = Runner(world, pace=manner.pace, tell=manner.tell)
        try:
            for path, experiment in experiments:
                early = "it was ended before its time"
                unfinished = [Verdict(experiment=experiment.name, file=str(path), failed=early)]
                manner.tell(f"{experiment.name}{f': {path}' if path != Path() else ''}")
                verdict = await runner.run(experiment, path)
                manner.tell(f"{experiment.name}: {_in_short(verdict)}")
                verdicts.append(verdict)
                if stop_at_bad and not verdict.held:
                    break
        except asyncio.CancelledError:
            return verdicts + unfinished, True
    return verdicts, False


def _end_by_signal(manner: Manner) -> None:
    """The first signal ends the run; what was made is taken back however many more come."""
    task = asyncio.current_task()
    told: list[bool] = []

    def end() -> None:
        if task is not None and not told:
            task.cancel()
        manner.tell("it is being taken back, wait" if told else "ended before its time: what was made is taken back")
        told.append(True)

    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, end)


async def _probe(listen: str, manner: Manner) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with manner.world(_ANY, 0, hurts=False) as world, serve_app(VerdictServer(world).app(), listen) as port:
        manner.tell(f"probing; the verdict is at http://{listen.rpartition(':')[0]}:{port}/verdict")
        await stop.wait()


async def _possible(experiments: Sequence[Experiment], manner: Manner, seed: int) -> list[Experiment]:
    """Those that can be made here."""
    async with manner.world(_ANY, seed, hurts=False) as world:
        return [each for each in experiments if not await world.refusal(each)]


def _end(verdicts: Sequence[Verdict], ended: bool, manner: Manner) -> int:
    if not report(verdicts, manner.json_file, manner.junit_file):
        return _UNTOLD
    return _ENDED if ended else exit_code(verdicts)


def _in_short(verdict: Verdict) -> str:
    if verdict.refused:
        return f"not made here: {verdict.refused}"
    return "held" if verdict.held else "NOT HELD"
