"""The table of planted faults, and the import hook that plants one of them."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType

import msgspec

ROOT = Path(__file__).parents[2]
TABLES = Path(__file__).parent
VARIABLE = "PLANTED_FAULT"
"""The environment variable that names the fault to plant."""

_SOURCE_FOLDERS = ("controller/", "chaos/")
"""Folders that hold packages and are not packages themselves."""


class PlantedFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of the table.

    Attributes:
        file: The file of the product, from the root of the project.
        code: The code to replace; the file has it exactly once.
        planted: The code in its place.
        breaks: What would go wrong with the fault, as a sentence.
        test: The pytest node that must fail with the fault.
    """

    file: str
    code: str
    planted: str
    breaks: str
    test: str

    @property
    def module(self) -> str:
        """The name of the module that the file holds."""
        name = self.file
        for folder in _SOURCE_FOLDERS:
            name = name.removeprefix(folder)
        return name.removesuffix(".py").replace("/", ".")

    def source(self) -> str:
        """Returns the content of the file with the fault in it."""
        whole = (ROOT / self.file).read_text()
        if whole.count(self.code) != 1:
            raise ValueError(f"{self.file} has this code {whole.count(self.code)} times, not once: {self.code!r}")
        return whole.replace(self.code, self.planted)


def read_faults() -> dict[str, PlantedFault]:
    """Returns all faults by name, table by table."""
    found: dict[str, PlantedFault] = {}
    for table in sorted(TABLES.glob("*.toml")):
        rows = msgspec.convert(tomllib.loads(table.read_text()), dict[str, PlantedFault])
        twice = rows.keys() & found.keys()
        if twice:
            raise ValueError(f"{table.name} has names that another table has: {sorted(twice)}")
        found |= rows
    return found


class _FaultLoader(importlib.machinery.SourceFileLoader):
    """Loads a module with the fault in it, whatever bytecode is cached."""

    def __init__(self, fault: PlantedFault, path: str) -> None:
        super().__init__(fault.module, path)
        self._fault = fault

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self._fault.source().encode(), self.path)


class FaultFinder(importlib.abc.MetaPathFinder):
    """Finds the module of a fault."""

    def __init__(self, fault: PlantedFault) -> None:
        if fault.module in sys.modules:
            raise RuntimeError(f"{fault.module} is imported already: the fault cannot be planted")
        self._fault = fault

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._fault.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _FaultLoader(self._fault, spec.origin)
        return spec
