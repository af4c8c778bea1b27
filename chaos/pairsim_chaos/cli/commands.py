"""The commands that need a world: `pairsim-chaos run`, `soak` and `probe`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
from rich.console import Console

from pairsim.addresses import http_url
from pairsim.model.documents.yaml import YamlError
from pairsim.server.http.listener import serve_app
from pairsim.system.inherited_signals import accepted_stop_signals, restore_child_reports
from pairsim.system.output import print_line, use_reliable_output
from pairsim.system.port_users import listen_error
from pairsim.wording import counted, duration
from pairsim_chaos.cli.options import SECONDS, RunOptions, run_options
from pairsim_chaos.experiment.loader import ExperimentError, load_experiments
from pairsim_chaos.experiment.model import Experiment
from pairsim_chaos.run.random_plan import faults, plan
from pairsim_chaos.run.runner import Runner, seed_or_new, title
from pairsim_chaos.run.verdict_server import VerdictServer
from pairsim_chaos.spec.yaml_source import read
from pairsim_chaos.target import WorldError
from pairsim_chaos.verdict.checks import Outcome, Verdict
from pairsim_chaos.verdict.report import all_held, as_json, as_junit, explanations, in_short, summary, table

_TABLE_WIDTH = 140
_EXIT_ABORTED = 130
_EXIT_NOTHING_RUN, _EXIT_NOT_WRITTEN = 2, 3
_NO_LIMIT_SECONDS = 3600.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command("run")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--max-duration", "--at-most", "max_duration",
    type=SECONDS, default=3600.0, show_default=True, metavar="SECONDS",
    help="Ends every fault after this time even if its file says longer; with --cluster, also every whole Workflow.",
)  # fmt: skip
@run_options
@click.pass_context
def run_command(context: click.Context, files: tuple[Path, ...], max_duration: float, options: RunOptions) -> None:
    """Runs the experiments of FILES and judges them.

    The report says whether all invariants of the world held. The world is started with `pairsim up` on this machine, or
    runs on Kubernetes with --cluster.

    Links between processes can be cut only if the world was started with `pairsim up --isolate`. Exit code 0: all
    experiments that ran held; 1: an experiment did not hold; 2: no experiment could run; 3: the verdicts could not be
    written.
    """
    experiments = read_all(files)
    check_writable(options)
    seed = seed_or_new(options.seed)
    options.log(f"{counted(len(experiments), 'experiment')}, seed {seed}")
    with _world_errors():
        ended = asyncio.run(_run(iter(experiments), options, max_duration, seed))
    context.exit(_finish(*ended, options))


@click.command("soak")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--seconds", type=SECONDS, default=600.0, show_default=True, metavar="SECONDS",
    help="Starts new experiments for this time.",
)  # fmt: skip
@run_options
@click.pass_context
def soak_command(context: click.Context, files: tuple[Path, ...], seconds: float, options: RunOptions) -> None:
    """Runs the faults of FILES at random on a local world.

    Their order and durations are random, and they run alone or in pairs. The soak ends at the first experiment that
    does not hold. The seed printed at the start repeats the same experiments. Faults that this machine does not support
    are left out. The exit codes are those of `run`.
    """
    if options.cluster:
        raise click.UsageError("a soak needs a world on this machine: in a cluster, apply a Schedule or a Workflow")
    experiments = [experiment for _, experiment in read_all(files)]
    if not faults(experiments):
        raise CannotRunError("these files hold no single fault: a soak runs neither workflows nor schedules")
    check_writable(options)
    seed = seed_or_new(options.seed)
    with _world_errors():
        known = faults(asyncio.run(_supported(experiments, options, seed)))
    if not known:
        raise CannotRunError("this machine supports no fault of these files: `pairsim-chaos run` reports the reasons")
    options.log(f"{counted(len(known), 'fault')} for {duration(seconds)}, seed {seed}")
    rng, end = random.Random(seed), time.monotonic() + seconds  # noqa: S311 - an order of tests needs no secrecy

    def planned() -> Iterator[tuple[Path, Experiment]]:
        number = 0
        while time.monotonic() < end:
            number += 1
            yield Path(), plan(rng, known, number)

    with _world_errors():
        ended = asyncio.run(_run(planned(), options, _NO_LIMIT_SECONDS, seed, stop_at_failure=True))
    context.exit(_finish(*ended, options))


@click.command("probe")
@click.option(
    "--listen", default="127.0.0.1:8079", show_default=True, help="Serves GET /verdict at this address, HOST:PORT."
)
@run_options
def probe_command(listen: str, options: RunOptions) -> None:
    """Probes a world and serves the verdict over HTTP.

    The answer is 200, or 503 with the reason. The probe sends commands to the world and observes it until it is
    stopped. The `StatusCheck`s of a workflow can ask it for the verdict.
    """
    with contextlib.suppress(KeyboardInterrupt):
        try:
            with _world_errors():
                asyncio.run(_probe(listen, options))
        except (OSError, ValueError) as error:
            raise click.ClickException(f"cannot listen at {listen}: {listen_error(error, listen)}") from error


class CannotRunError(click.ClickException):
    """The experiments cannot be run at all."""

    exit_code = _EXIT_NOTHING_RUN


@contextlib.contextmanager
def _world_errors() -> Iterator[None]:
    """Turns an error of the world into the exit code for a run without experiments."""
    try:
        yield
    except WorldError as error:
        raise CannotRunError(str(error)) from error


def read_all(files: Sequence[Path]) -> list[tuple[Path, Experiment]]:
    """Returns the experiments of all files, each with its file.

    Raises:
        CannotRunError: A file cannot be read, or the linter finds a problem in it.
    """
    found = []
    for path in files:
        try:
            found += [(path, each) for each in load_experiments(read(path))]
        except YamlError as error:
            raise CannotRunError(f"{path}: {error}") from error
        except ExperimentError as error:
            raise CannotRunError(f"{path} is not run because `pairsim-chaos lint` finds problems:\n{error}") from error
    return found


def check_writable(options: RunOptions) -> None:
    """Checks before the first fault that the verdicts can be written.

    Raises:
        CannotRunError: A file cannot be written.
    """
    if options.junit_file == Path("-"):
        raise click.UsageError("--junit needs a file; only --json can write to standard output")
    for path in (options.json_file, options.junit_file):
        if path is None or path == Path("-"):
            continue
        if path.is_dir():
            raise CannotRunError(f"{path} cannot be written: it is a folder")
        if not os.access(path.absolute().parent, os.W_OK):
            raise CannotRunError(f"{path} cannot be written: the folder does not exist, or you may not write to it")


def write_report(verdicts: Sequence[Verdict], json_file: Path | None, junit_file: Path | None) -> bool:
    """Prints the verdicts and writes them to the requested files; returns whether all files were written."""
    if json_file == Path("-"):
        click.echo(as_json(verdicts).decode())
    else:
        with contextlib.suppress(OSError):  # a closed terminal does not keep the verdicts from their files
            Console(width=_TABLE_WIDTH).print(table(verdicts))
        for sentence in (*explanations(verdicts), summary(verdicts)):
            print_line(sentence)
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
    """Writes a file atomically; pipes and terminals are written to directly."""
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
    """Returns 0 if all experiments that ran held, 1 if one did not, 2 if none ran."""
    if not any(verdict.made for verdict in verdicts):
        return _EXIT_NOTHING_RUN
    return 0 if all_held(verdicts) else 1


async def _run(
    experiments: Iterator[tuple[Path, Experiment]],
    options: RunOptions,
    max_duration: float,
    seed: int,
    *,
    stop_at_failure: bool = False,
) -> tuple[list[Verdict], bool]:
    """Returns the verdicts, and whether a signal ended the run early."""
    if not options.quiet:  # a JSON document is written as a whole, however slowly it is read
        use_reliable_output()
    runners: list[Runner] = []
    _cancel_at_signal(options, lambda: any(runner.injecting for runner in runners))
    verdicts: list[Verdict] = []
    unfinished: list[Verdict] = []
    async with options.target(max_duration, seed, injects=True) as target:
        runner = Runner(target, timing=options.timing, log=options.log)
        runners.append(runner)
        try:
            for path, experiment in experiments:
                aborted, name = "the run was aborted before its end", title(experiment, path)
                unfinished = [Verdict(experiment=name, file=str(path), failed=aborted)]
                options.log(f"{name}{f': {path}' if path != Path() else ''}")
                verdict = await runner.run(experiment, path)
                options.log(f"{name}: {in_short(verdict)}")
                verdicts.append(verdict)
                unfinished = []
                if stop_at_failure and verdict.outcome in (Outcome.NOT_HELD, Outcome.NO_VERDICT):
                    break
        except asyncio.CancelledError:
            return verdicts + unfinished, True
    return verdicts, False


def _cancel_at_signal(options: RunOptions, injecting: Callable[[], bool]) -> None:
    """Makes the first signal cancel the run; further signals do not stop the removal of injected faults.

    Args:
        options: The options of the run.
        injecting: Returns whether a fault may be in place.
    """
    task = asyncio.current_task()
    received: list[bool] = []

    def on_signal() -> None:
        if task is not None and not received:
            task.cancel()
        state = "the injected fault is being removed" if injecting() else "no fault is in place, the run ends"
        options.log(f"{state}, please wait" if received else f"aborted: {state}")
        received.append(True)

    restore_child_reports()
    for number in accepted_stop_signals(_SIGNALS):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)


async def _probe(listen: str, options: RunOptions) -> None:
    stop = asyncio.Event()
    for number in accepted_stop_signals((signal.SIGINT, signal.SIGTERM)):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        options.target(_NO_LIMIT_SECONDS, 0, injects=False) as target,
        serve_app(VerdictServer(target).app(), listen) as port,
    ):
        options.log(f"probing; the verdict is at {http_url(listen.rpartition(':')[0], port)}/verdict")
        await stop.wait()


async def _supported(experiments: Sequence[Experiment], options: RunOptions, seed: int) -> list[Experiment]:
    """Returns the experiments that the target supports."""
    async with options.target(_NO_LIMIT_SECONDS, seed, injects=False) as target:
        return [each for each in experiments if not await target.unsupported_reason(each)]


def _finish(verdicts: Sequence[Verdict], aborted: bool, options: RunOptions) -> int:
    """Reports the verdicts and returns the exit code of the command."""
    if not write_report(verdicts, options.json_file, options.junit_file):
        return _EXIT_NOT_WRITTEN
    return _EXIT_ABORTED if aborted else exit_code(verdicts)
