"""The schema of an area: its components, which are the named, typed columns of its entities."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
import numpy as np

from pairsim.model.commands import Value
from pairsim.model.state.plain_values import plain_item

DTYPES = frozenset({"float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"})
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def _dtype_name(dtype: object) -> str:
    """Returns the name of a dtype that is given as text, as `np.float32` or as `np.dtype("float32")`."""
    name = getattr(dtype, "name", None) or getattr(dtype, "__name__", None)
    return str(plain_item(dtype)) if isinstance(dtype, str) or not isinstance(name, str) else name


class Component(msgspec.Struct, frozen=True):
    """A column of every entity, or an argument of an operation.

    Attributes:
        name: Lower case letters, digits and underscores, a letter first; not `id`.
        dtype: One of `DTYPES`.
        width: Numbers per entity: 1 makes a column of shape (n,), a larger width one of shape (n, width).
        low, high: Bounds (inclusive) of what a command may set; None for the dtype's own bounds.
    """

    name: str
    dtype: str
    width: int = 1
    low: float | None = None
    high: float | None = None

    @property
    def row_bytes(self) -> int:
        """The bytes of one entity in the column."""
        return np.dtype(self.dtype).itemsize * self.width

    def __post_init__(self) -> None:
        self._make_plain()
        if not _NAME.fullmatch(self.name) or self.name == "id":
            raise ValueError(f"invalid component name {self.name!r}: use a-z, 0-9 and _, a letter first, and not 'id'")
        if self.dtype not in DTYPES:
            raise ValueError(f"component {self.name}: dtype {self.dtype!r} must be one of {', '.join(sorted(DTYPES))}")
        if not 1 <= self.width <= 64:
            raise ValueError(f"component {self.name}: width {self.width} is not within 1 to 64")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"component {self.name}: low {self.low} is above high {self.high}")

    def _make_plain(self) -> None:
        """Replaces values of numpy's types, which no message can carry, by Python's own."""
        for field in ("name", "width", "low", "high"):
            msgspec.structs.force_setattr(self, field, plain_item(getattr(self, field)))
        msgspec.structs.force_setattr(self, "dtype", _dtype_name(self.dtype))

    def fits(self, value: Value) -> bool:
        """Returns whether a command's value has this component's shape; the numbers themselves are not checked."""
        if self.width == 1:
            return not isinstance(value, list)
        return isinstance(value, list) and len(value) == self.width

    @property
    def shape_phrase(self) -> str:
        """A phrase for the value that a command gives for this component, such as "a list of 3 numbers"."""
        return "a number, not a list" if self.width == 1 else f"a list of {self.width} numbers"

    @property
    def is_float(self) -> bool:
        """Whether the dtype is a floating-point type."""
        return self.dtype.startswith("float")


class Schema:
    """Components in a fixed order, which is part of the digest."""

    def __init__(self, components: tuple[Component, ...]) -> None:
        """Takes the components in their order.

        Raises:
            ValueError: Two components have the same name.
        """
        self._components = {component.name: component for component in components}
        if len(self._components) != len(components):
            raise ValueError("two components have the same name")

    def __iter__(self) -> Iterator[Component]:
        return iter(self._components.values())

    def __len__(self) -> int:
        return len(self._components)

    def __contains__(self, name: object) -> bool:
        return name in self._components

    def __getitem__(self, name: str) -> Component:
        return self._components[name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the components, in order."""
        return tuple(self._components)
