"""The world file of `pairsim up`, checked before any process starts.

What defines an area cannot change once its pair runs, so a mistake has to be reported before.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import click

from pairsim.engine.host.program import find_program
from pairsim.model.area import AreaSpec
from pairsim.model.documents.world import MAX_BYTES, DocumentError, load_world
from pairsim.model.simulation.error_location import error_with_location, source_files
from pairsim.model.simulation.foreign_text import foreign_text
from pairsim.model.simulation.module_names import is_program
from pairsim.model.simulation.simulator import ParameterError, SimulatorNotFoundError, load_simulator
from pairsim.model.state.memory_need import row_bytes, state_bytes, world_refusal
from pairsim.model.state.schema import Schema
from pairsim.system.module_search import search_current_folder_last


class WorldFile(NamedTuple):
    """What a world file says.

    Attributes:
        areas: Its areas.
        warm_engines: Whether spares keep engines ready.
    """

    areas: tuple[AreaSpec, ...]
    warm_engines: bool


def read_world(path: Path) -> WorldFile:
    """Returns the content of a world file.

    Raises:
        click.ClickException: The file cannot be read, or its world cannot be simulated; one line per mistake.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise click.ClickException(f"{path} is too long for a world file: it has over {MAX_BYTES >> 20} MiB")
        documents = load_world(data.decode("utf-8-sig"))
        areas = documents.specs()
    except OSError as error:
        raise click.ClickException(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{path} is not UTF-8 text: {error}") from error
    except DocumentError as error:
        raise click.ClickException(f"{path} cannot be used:\n{error}") from error
    mistakes = {spec.plane: mistake for spec in areas if (mistake := _simulator_error(spec))}
    if mistakes:
        raise click.ClickException("\n".join(f"Plane {plane}: {text}" for plane, text in mistakes.items()))
    return WorldFile(areas, documents.warm_engines)


def area_schema(spec: AreaSpec) -> Schema | None:
    """Returns the columns of an area's simulator; None if it cannot be made, and of a program, which is not started."""
    if is_program(spec.simulator):
        return None
    try:
        return load_simulator(spec.simulator)(spec).components
    except (Exception, SystemExit):  # noqa: BLE001 - a simulator is foreign code
        return None


def memory_error(areas: Iterable[AreaSpec], limit: int) -> str:
    """Returns why new areas cannot fit into `limit` bytes of memory; empty if they can."""
    schemas = ((spec, area_schema(spec)) for spec in areas if spec.entities)
    needs = {spec.area: state_bytes(spec.entities, row_bytes(schema)) for spec, schema in schemas if schema is not None}
    return world_refusal(needs, limit)


def _simulator_error(spec: AreaSpec) -> str:
    """Returns why no process can simulate an area; empty if a process can.

    Of a simulator that is a program, this looks at the file alone: the program checks its parameters when it starts.
    """
    own: frozenset[str] = frozenset()
    try:
        if is_program(spec.simulator):
            find_program(spec.simulator)
            return ""
        if ":" in spec.simulator:
            search_current_folder_last()  # as its processes do
        kind = load_simulator(spec.simulator)
        own = source_files(kind)
        kind(spec)
    except (ParameterError, SimulatorNotFoundError) as error:
        return foreign_text(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a simulator is foreign code
        return f"the simulator {spec.simulator} raised {error_with_location(error, own)}"
    return ""
