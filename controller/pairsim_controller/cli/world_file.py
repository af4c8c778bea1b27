"""The world that `pairsim up` is asked for, refused here if its processes could not simulate it.

Once an area is founded, what defines it cannot change: a slip must be told before.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pairsim.model.area import AreaSpec
from pairsim.model.documents.world import MAX_BYTES, DocumentError, load_world
from pairsim.model.simulation.error_location import error_with_location, source_files
from pairsim.model.simulation.simulator import ParameterError, SimulatorNotFoundError, load_simulator


def read_world(path: Path) -> tuple[AreaSpec, ...]:
    """The areas of a world file.

    Raises:
        click.ClickException: It cannot be read, or used; all that is wrong, one sentence a line.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise click.ClickException(f"{path} is no world file: it has over {MAX_BYTES >> 20} MiB")
        areas = load_world(data.decode("utf-8-sig")).specs()
    except OSError as error:
        raise click.ClickException(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{path} is no text: {error}") from error
    except DocumentError as error:
        raise click.ClickException(f"{path} cannot be used:\n{error}") from error
    sentences = {spec.plane: sentence for spec in areas if (sentence := _unusable(spec))}
    if sentences:
        raise click.ClickException("\n".join(f"Plane {plane}: {text}" for plane, text in sentences.items()))
    return areas


def _unusable(spec: AreaSpec) -> str:
    """Why no process could simulate it; empty if one can."""
    here = str(Path.cwd())
    if ":" in spec.simulator and here not in sys.path:
        sys.path.insert(0, here)  # where its processes, which are started by `python -m`, find it
    own: frozenset[str] = frozenset()
    try:
        kind = load_simulator(spec.simulator)
        own = source_files(kind)
        kind(spec)
    except (ParameterError, SimulatorNotFoundError) as error:
        return str(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever somebody else's simulator does
        return f"the simulator {spec.simulator} raised {error_with_location(error, own)}"
    return ""
