"""The schema that belongs to a stored or received state, and its comparison with the schema of a simulator.

A state is columns of bytes. It means something only to a simulator with the same columns in the same order, so every
replica keeps the schema in a file beside its states, and refuses states of another schema. Bounds of components are not
compared: they say what a command may set, and no stored byte depends on them.
"""

from __future__ import annotations

import msgspec

from pairsim.model.state.schema import Component, Schema

SCHEMA_FILE = "schema.json"
"""The name of the file with the schema in the folder of an area."""


def encode_schema(schema: Schema) -> bytes:
    """Returns the content of a schema's file."""
    return msgspec.json.format(msgspec.json.encode(tuple(schema)))


def decode_schema(data: bytes) -> Schema:
    """Returns the schema in the content of its file.

    Raises:
        ValueError, msgspec.MsgspecError: The content is not a schema.
    """
    return Schema(msgspec.json.decode(data, type=tuple[Component, ...]))


def schema_difference(stored: Schema, current: Schema) -> str:
    """Returns how the columns of a state and those of a simulator differ, by their names; empty if they are the same.

    Args:
        stored: The schema of the state.
        current: The schema of the simulator.
    """
    found = [f"the column {c.name!r} of the simulator is not in the state" for c in current if c.name not in stored]
    for column in stored:
        if column.name not in current:
            found.append(f"the column {column.name!r} of the state is not in the simulator")
        elif _kind(column) != _kind(current[column.name]):
            kinds = f"{_kind(column)} in the state and {_kind(current[column.name])} in the simulator"
            found.append(f"the column {column.name!r} is {kinds}")
    if not found and stored.names != current.names:
        orders = f"{', '.join(stored.names)} in the state and {', '.join(current.names)} in the simulator"
        found.append(f"the order of the columns is {orders}")
    return "; ".join(found)


def schema_refusal(area: str, folder: object, simulator: str, difference: str) -> str:
    """Returns the sentence that refuses the data of an area in a folder because of a `schema_difference`."""
    return (
        f"the state of area {area} in {folder} does not fit the simulator {simulator}: {difference}. The data stays as"
        " it is: put the simulator back as it was, or give another --data folder to begin a new world"
    )


def _kind(column: Component) -> str:
    return column.dtype if column.width == 1 else f"{column.width} x {column.dtype}"
