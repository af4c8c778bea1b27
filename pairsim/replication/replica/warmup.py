"""A simulator before its replica votes: somebody else's code, so whatever it raises is told, and the area refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec
import structlog

from pairsim.model.area import AreaSpec
from pairsim.model.command_schema import CommandSchema
from pairsim.model.simulation.error_location import error_with_location, source_files
from pairsim.model.simulation.simulator import ParameterError, Simulator, SimulatorNotFoundError, load_simulator
from pairsim.model.simulation.tick import advance, populate_initial
from pairsim.model.state.table import Table
from pairsim.replication.service import SimulatorError

log = structlog.get_logger()

_TICKS, _ENTITIES = 3, 64


def rehearsed(spec: AreaSpec) -> Simulator:
    """Makes the simulator of an area, prepares it, and runs a few ticks; may take seconds.

    Raises:
        SimulatorError: There is none, or it cannot do that.
    """
    with telling(spec):
        kind = load_simulator(spec.simulator)
    with telling(spec, kind):
        simulator = kind(spec)
        simulator.prepare()
        _warm(kind, spec)
    return simulator


@contextlib.contextmanager
def telling(spec: AreaSpec, kind: type | None = None) -> Iterator[None]:
    """Makes a sentence of what an area's simulator raises.

    Raises:
        SimulatorError: It raised.
    """
    try:
        yield
    except (SimulatorNotFoundError, ParameterError) as error:
        raise SimulatorError(str(error)) from error  # it is a sentence already
    except (Exception, SystemExit) as error:
        log.error("the simulator cannot simulate this area", area=spec.area, simulator=spec.simulator, exc_info=error)  # noqa: TRY400 - SystemExit has a traceback as well
        own = source_files(kind) if kind is not None else ()
        raise SimulatorError(f"the simulator {spec.simulator} raised {error_with_location(error, own)}") from error


def _warm(kind: type[Simulator], spec: AreaSpec) -> None:
    """Runs a few ticks of a scratch area: the first tick after a takeover must not be the first ever."""
    scratch = msgspec.structs.replace(spec, entities=min(spec.entities, _ENTITIES))
    simulator = kind(scratch)
    simulator.prepare()
    CommandSchema(simulator.components, simulator.operations)  # names that clash
    table = Table(simulator.components)
    populate_initial(simulator, table, scratch)
    for tick in range(1, 1 + _TICKS):
        advance(simulator, table, [], tick, scratch)
        simulator.perceive(table, tick)
        table.digest()
