"""The check of an area's files against the simulator that is to continue them.

The folder of an area holds the schema of its states. Folders of releases that wrote no schema have one as soon as a
simulator has continued them; until then the columns of their newest checkpoint are compared.

The operations of the simulator lie beside it, for a start at which the simulator cannot be loaded. They are those of
the newest engine: no stored byte depends on them, so they may change with the code.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import structlog

from pairsim.model.area import AreaSpec
from pairsim.model.command_schema import Operation
from pairsim.model.decode_errors import UNDECODABLE
from pairsim.model.simulation.interface import SimulatorInterface
from pairsim.model.state.schema import Schema
from pairsim.model.state.stored_schema import (
    SCHEMA_FILE,
    decode_schema,
    encode_schema,
    schema_difference,
    schema_refusal,
)
from pairsim.replication.checkpoint.folder import newest_state_difference
from pairsim.replication.service import SimulatorError

log = structlog.get_logger()

OPERATIONS_FILE = "operations.json"
"""The name of the file with the operations in the folder of an area."""


def verify_schema(folder: Path, spec: AreaSpec, schema: Schema) -> None:
    """Compares the files of an area with the schema of its simulator; changes nothing.

    Raises:
        SimulatorError: The files belong to another schema.
        OSError: The folder cannot be read.
    """
    stored = _stored_schema(folder / SCHEMA_FILE)
    difference = (
        schema_difference(stored, schema) if stored is not None else newest_state_difference(folder, spec.area, schema)
    )
    if difference:
        raise SimulatorError(schema_refusal(spec.area, folder, spec.simulator, difference))


def write_interface(folder: Path, interface: SimulatorInterface) -> None:
    """Writes the schema of an area whose files `verify_schema` accepted, unless it is there, and the operations.

    Raises OSError.
    """
    path = folder / SCHEMA_FILE
    if _stored_schema(path) is None:
        _write(path, encode_schema(interface.schema))
    _write(folder / OPERATIONS_FILE, msgspec.json.format(msgspec.json.encode(interface.operations)))


def stored_interface(folder: Path) -> SimulatorInterface | None:
    """Returns the interface of the simulator that has continued the files of an area last; None if it is not there.

    Raises:
        OSError: The folder cannot be read.
    """
    schema = _stored_schema(folder / SCHEMA_FILE)
    if schema is None:
        return None
    path = folder / OPERATIONS_FILE
    try:
        return SimulatorInterface(tuple(schema), msgspec.json.decode(path.read_bytes(), type=tuple[Operation, ...]))
    except FileNotFoundError:
        return None
    except (ValueError, *UNDECODABLE) as error:
        log.warning("ignored unreadable operations", file=str(path), reason=str(error))
        return None


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def _stored_schema(path: Path) -> Schema | None:
    try:
        return decode_schema(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, *UNDECODABLE) as error:
        log.warning("ignored unreadable schema", file=str(path), reason=str(error))
        return None
