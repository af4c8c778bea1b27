"""Words that others know: labels, annotations, finalizers, headers, reasons and environment variables.

They are read from the whole code of the product, wherever they stand in it, so that a move changes nothing here.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator

from tests.contract import commands, product

_COMPILES = re.compile(r"\.(simulators|kernels)(\.|$)|__main__$")
_KEY = re.compile(r"^([a-z0-9-]+\.)+(io|org)(/[A-Za-z0-9./-]+)?$")
_WORD = re.compile(r"^[A-Z][a-z]+([A-Z][a-z]+)*$")
_HEADER = re.compile(r"^(X-)?[A-Z][a-z]+(-[A-Z][a-z]+)+$")
_VARIABLE = re.compile(r"^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$")
_NAMING = frozenset({"cast", "TypeVar", "getattr", "setattr", "hasattr"})


def identifiers() -> dict[str, list[str]]:
    """Returns all words of each kind that stand in the code."""
    values = set(_constants()) | set(_literals())
    read = set().union(*(commands.environment(commands.entry(name)) for name in _scripts()))
    return {
        "keys": sorted(filter(_KEY.match, values)),
        "headers": sorted(filter(_HEADER.match, values)),
        "kinds, reasons and other words": sorted(filter(_WORD.match, values)),
        "environment variables": sorted(read | set(filter(_VARIABLE.match, values))),
    }


def _scripts() -> list[str]:
    scripts = commands.project()["scripts"]
    assert isinstance(scripts, dict)
    return list(scripts)


def _constants() -> Iterator[str]:
    """Yields the texts that modules hold, which the code may have put together."""
    for package in map(importlib.import_module, product.PACKAGES):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.", onerror=lambda _name: None):
            if not _COMPILES.search(found.name):
                for name, value in vars(importlib.import_module(found.name)).items():
                    if name.lstrip("_").isupper():  # other names may be caches, which fill while tests run
                        yield from _texts(value)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(key)
            yield from _texts(inner)
    elif isinstance(value, tuple | list | set | frozenset):
        for inner in value:
            yield from _texts(inner)


def _literals() -> Iterator[str]:
    """Yields the texts that are written in the code, and not those that only name a part of the code itself."""
    for folder in product.FOLDERS:
        for path in sorted((product.ROOT / folder).glob("**/*.py")):
            tree = ast.parse(path.read_bytes())
            naming = {id(node) for call in ast.walk(tree) if _names(call) for node in ast.walk(call)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in naming:
                    yield node.value


def _names(node: ast.AST) -> bool:
    if isinstance(node, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in _NAMING
    return False
