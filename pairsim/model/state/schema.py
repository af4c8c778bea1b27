"""Components: the named, typed columns of an area's entities."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from pairsim.model.commands import Value

DTYPES = frozenset({"float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"})
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class Component(msgspec.Struct, frozen=True):
    """A column of every entity, or an argument of an operation.

    Attributes:
        name: Lower case, digits and underscores; not `id`.
        dtype: One of `DTYPES`.
        width: Numbers per entity; 1 makes a column of shape (n,), more one of shape (n, width).
        low, high: Bounds (inclusive) of what a command may set; None for the dtype's own.
    """

    name: str
    dtype: str
    width: int = 1
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name == "id":
            raise ValueError(f"{self.name!r} is no component name: use a-z, 0-9 and _, a letter first, and not 'id'")
        if self.dtype not in DTYPES:
            raise ValueError(f"component {self.name}: dtype {self.dtype!r} is none of {', '.join(sorted(DTYPES))}")
        if not 1 <= self.width <= 64:
            raise ValueError(f"component {self.name}: width {self.width} is not within 1 to 64")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"component {self.name}: low {self.low} is above high {self.high}")

    def fits(self, value: Value) -> bool:
        """Whether a command's value has this shape; its numbers are not looked at."""
        if self.width == 1:
            return not isinstance(value, list)
        return isinstance(value, list) and len(value) == self.width

    @property
    def shape_in_words(self) -> str:
        """What a command writes for it."""
        return "a number, not a list" if self.width == 1 else f"a list of {self.width} numbers"

    @property
    def real(self) -> bool:
        """Whether the dtype holds fractions."""
        return self.dtype.startswith("float")


class Schema:
    """Components in a fixed order, which is part of the digest."""

    def __init__(self, components: tuple[Component, ...]) -> None:
        """Names must differ."""
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
        """In order."""
        return tuple(self._components)
