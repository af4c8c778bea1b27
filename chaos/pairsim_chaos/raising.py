"""A simulator for experiments: another one, which raises for a while at a command.

`simulator: pairsim_chaos.raising:Raising` with the parameter `simulator: physics` is `physics` with one operation more,
`raise`. While the clock of the machine is before `until` (Unix time in seconds), the tick with such a command raises;
after that, the command changes nothing. So the state depends on the commands alone, as a simulator's must, and the area
goes on without help when the time is over.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import msgspec
import numpy as np

from pairsim.simulator import (
    AreaSpec,
    Batch,
    Command,
    Component,
    Operation,
    ParameterError,
    PerceivingSimulator,
    Schema,
    Simulator,
    Table,
    load_simulator,
)

OPERATION, UNTIL = "raise", "until"
"""The name of the operation, and of its argument."""

_PARAMETER = "simulator"


class Raising:
    """The simulator that the parameter `simulator` names; all other parameters are passed to it."""

    def __init__(self, area: AreaSpec) -> None:
        """Creates the other simulator.

        Raises:
            ParameterError: The parameter `simulator` is missing, or the other simulator refuses its parameters.
            SimulatorNotFoundError: No simulator has that name.
        """
        parameters = dict(area.parameters)
        name = parameters.pop(_PARAMETER, "")
        if not isinstance(name, str) or not name:
            raise ParameterError("the parameter 'simulator' must name the simulator that is to raise")
        spec = msgspec.structs.replace(area, simulator=name, parameters=parameters)
        self._simulator: Simulator = load_simulator(name)(spec)

    @property
    def components(self) -> Schema:
        """The components of the other simulator."""
        return self._simulator.components

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations of the other simulator, and the one at which this one raises."""
        return (*self._simulator.operations, Operation(OPERATION, (Component(UNTIL, "float64"),)))

    def prepare(self) -> None:
        """Prepares the other simulator."""
        self._simulator.prepare()

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        """Creates the entities of the other simulator."""
        self._simulator.populate(table, rng)

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        """Advances the other simulator by a tick.

        Raises:
            RuntimeError: A command wants that until a time that is not over.
        """
        for until in batch.of(OPERATION)[2][UNTIL].tolist():
            if time.time() < until:
                raise RuntimeError("an experiment made this tick fail")
        self._simulator.step(table, batch, tick, rng)

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        """Returns the commands of the other simulator."""
        other = self._simulator
        return (other.perceive(table, tick) or ()) if isinstance(other, PerceivingSimulator) else ()
