"""Loads and tries a simulator before its replica votes.

A simulator is foreign code: whatever it raises becomes a `SimulatorError` with a sentence, and the area is refused
before the process joins its Raft group.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec
import structlog

from pairsim.model.area import AreaSpec
from pairsim.model.command_schema import CommandSchema
from pairsim.model.simulation.error_location import error_with_location, source_files
from pairsim.model.simulation.foreign_text import foreign_text
from pairsim.model.simulation.simulator import ParameterError, Simulator, SimulatorNotFoundError, load_simulator
from pairsim.model.simulation.tick import advance, populate_initial
from pairsim.model.state.table import Table
from pairsim.replication.replica.perception import Perception
from pairsim.replication.service import SimulatorError

log = structlog.get_logger()

_WARMUP_TICKS, _WARMUP_ENTITIES = 3, 64


def load_simulator_warm(spec: AreaSpec) -> Simulator:
    """Creates the simulator of an area, prepares it, and runs a few ticks of a scratch area; may take seconds.

    Raises:
        SimulatorError: The simulator cannot be found, or it raised.
    """
    with as_simulator_error(spec):
        kind = load_simulator(spec.simulator)
    with as_simulator_error(spec, kind):
        simulator = kind(spec)
        simulator.prepare()
        _run_scratch_area(kind, spec)
    return simulator


@contextlib.contextmanager
def as_simulator_error(spec: AreaSpec, kind: type | None = None) -> Iterator[None]:
    """Converts what the simulator of an area raises to a `SimulatorError`.

    With `kind`, the simulator's class, the error names the innermost line in the files of that class.

    Raises:
        SimulatorError: The body raised.
    """
    try:
        yield
    except (SimulatorNotFoundError, ParameterError) as error:
        raise SimulatorError(foreign_text(error)) from error  # the text is a sentence already
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        log.error("the simulator cannot simulate this area", area=spec.area, simulator=spec.simulator, exc_info=error)  # noqa: TRY400 - SystemExit has a traceback as well
        own = source_files(kind) if kind is not None else ()
        raise SimulatorError(f"the simulator {spec.simulator} raised {error_with_location(error, own)}") from error


def _run_scratch_area(kind: type[Simulator], spec: AreaSpec) -> None:
    """Runs a few ticks of a small area, so that the first tick after a takeover is not the first tick ever."""
    scratch = msgspec.structs.replace(spec, entities=min(spec.entities, _WARMUP_ENTITIES))
    simulator = kind(scratch)
    simulator.prepare()
    perception = Perception(simulator, CommandSchema(simulator.components, simulator.operations))
    table = Table(simulator.components)
    populate_initial(simulator, table, scratch)
    for tick in range(1, 1 + _WARMUP_TICKS):
        advance(simulator, table, [], tick, scratch)
        perception.commands(table, tick)
        table.digest()
