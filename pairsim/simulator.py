"""The one import for authors of simulators.

A simulator is a class with the members of `Simulator`, or of `PerceivingSimulator` if it looks outside. It needs
nothing else of pairsim than what this module has:

- the description of what it simulates: `Schema` of `Component`s, and `Operation`s for commands of its own;
- what it is given: `AreaSpec` with `Box`es, a `Table` of entities, a `Batch` of commands, and `first_entity`,
  from which it numbers the entities that it creates;
- what it gives back: `ParameterError` for parameters that it refuses, and `Command`s from `perceive`;
- what a test of it needs: `populate_initial` and `advance`, which run ticks as a replica does, `CommandSchema`, which
  checks commands as a server does (`CommandError`), `random_stream`, and `load_simulator`.

docs/simulators.md explains how they work together.
"""

from __future__ import annotations

from pairsim.model.area import AreaSpec, Parameter
from pairsim.model.command_schema import CommandSchema, Operation
from pairsim.model.commands import Command, CommandError, Value
from pairsim.model.geometry import Box
from pairsim.model.simulation.entity_ids import first_entity
from pairsim.model.simulation.random import random_stream
from pairsim.model.simulation.simulator import (
    Batch,
    ParameterError,
    PerceivingSimulator,
    Simulator,
    SimulatorNotFoundError,
    load_simulator,
)
from pairsim.model.simulation.tick import advance, populate_initial
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table

__all__ = [
    "AreaSpec",
    "Batch",
    "Box",
    "Command",
    "CommandError",
    "CommandSchema",
    "Component",
    "Operation",
    "Parameter",
    "ParameterError",
    "PerceivingSimulator",
    "Schema",
    "Simulator",
    "SimulatorNotFoundError",
    "Table",
    "Value",
    "advance",
    "first_entity",
    "load_simulator",
    "populate_initial",
    "random_stream",
]
