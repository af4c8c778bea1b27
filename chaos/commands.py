"""`pairsim-chaos run`: experiments against a world, and a verdict."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from rich.console import Console

from chaos.experiment import Experiment, ExperimentError, load_experiments
from chaos.local.world import LocalWorld
from chaos.reading import UnreadableError
from chaos.running import Pace, Runner, seed_or_new
from chaos.verdict.judging import Verdict
from chaos.verdict.telling import as_json, as_junit, explanations, summary, table

_WIDTH = 140
_ENDED = 130


@click.command("run")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Of `pairsim up`.")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Of `pairsim up`.")
@click.option(
    "--at-most", type=click.FloatRange(min=0, min_open=True), default=3600.0, metavar="SECONDS",
    help="Faults last no longer than that, whatever their files say.",
)  # fmt: skip
@click.option(
    "--whole", type=click.FloatRange(min=0, min_open=True), default=60.0, show_default=True, metavar="SECONDS",
    help="How long the world may take to become whole after a fault.",
)  # fmt: skip
@click.option("--seed", type=int, default=None, help="Of what is chosen by chance; told at the beginning.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the verdicts there; - is stdout.")
@click.option("--junit", "junit_file", type=click.Path(path_type=Path), help="Write it as JUnit's XML.")
@click.pass_context
def run_command(
    context: click.Context, /, files: tuple[Path, ...], host: str, port: int, at_most: float, whole: float,
    seed: int | None, json_file: Path | None, junit_file: Path | None,
) -> None:  # fmt: skip
    """Runs the experiments of FILES against a world that `pairsim up` runs, and says whether everything held.

    Links between processes can be cut only if the world was started with `pairsim up --isolate`. Exit code 0:
    everything that was made held; 1: something did not; 2: nothing could be made.
    """
    experiments = read_all(files)
    chosen = seed_or_new(seed)
    quiet = json_file == Path("-")
    tell: Callable[[str], None] = _silent if quiet else _tell
    tell(f"{len(experiments)} experiment(s), seed {chosen}")
    verdicts, ended = asyncio.run(_run(experiments, f"http://{host}:{port}", at_most, Pace(whole=whole), chosen, tell))
    report(verdicts, json_file, junit_file)
    context.exit(_ENDED if ended else exit_code(verdicts))


def read_all(files: Sequence[Path]) -> list[tuple[Path, Experiment]]:
    """The experiments of all files; what is wrong with them is told as the linter does."""
    found = []
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise click.ClickException(f"{path} cannot be read: {reason}") from error
        try:
            found += [(path, each) for each in load_experiments(text)]
        except UnreadableError as error:
            raise click.ClickException(f"{path}: {error}") from error
        except ExperimentError as error:
            raise click.ClickException(f"{path} is not run, `pairsim-chaos lint` finds:\n{error}") from error
    return found


def report(verdicts: Sequence[Verdict], json_file: Path | None, junit_file: Path | None) -> None:
    """Tells the verdicts, and writes them where it is asked for."""
    if json_file == Path("-"):
        click.echo(as_json(verdicts).decode())
    else:
        Console(width=_WIDTH).print(table(verdicts))
        for sentence in explanations(verdicts):
            click.echo(sentence)
        click.echo(summary(verdicts))
    for path, content in ((json_file, as_json), (junit_file, as_junit)):
        if path is not None and path != Path("-"):
            try:
                path.write_bytes(content(verdicts))
            except OSError as error:
                raise click.ClickException(f"{path} cannot be written: {error.strerror}") from error


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """See `run`."""
    if not all(verdict.held for verdict in verdicts):
        return 1
    return 0 if any(not verdict.refused for verdict in verdicts) else 2


async def _run(
    experiments: Sequence[tuple[Path, Experiment]], url: str, at_most: float, pace: Pace, seed: int,
    tell: Callable[[str], None],
) -> tuple[list[Verdict], bool]:  # fmt: skip
    """The verdicts, and whether it was ended before all were given."""
    task = asyncio.current_task()
    if task is not None:  # what was made is taken back, also if it is ended
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    verdicts: list[Verdict] = []
    async with LocalWorld(url, longest=at_most, seed=seed) as world:
        runner = Runner(world, pace=pace, tell=tell)
        try:
            for path, experiment in experiments:
                tell(f"{experiment.name}: {path}")
                verdicts.append(await runner.run(experiment, path))
                tell(f"{experiment.name}: {_in_short(verdicts[-1])}")
        except asyncio.CancelledError:
            tell("ended before its time: what was made is taken back")
            return verdicts, True
    return verdicts, False


def _in_short(verdict: Verdict) -> str:
    if verdict.refused:
        return f"not made here: {verdict.refused}"
    return "held" if verdict.held else "NOT HELD"


def _tell(sentence: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')}  {sentence}")


def _silent(_sentence: str) -> None:
    """Standard output is for the JSON alone."""
