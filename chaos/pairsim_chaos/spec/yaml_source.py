"""Experiment files: YAML that remembers its lines.

A finding names a line, so files are not loaded but composed: values are taken from YAML's nodes, which know where
they stand. Whatever the file holds ends in documents or in one sentence: size, depth and the number of values are
bounded, since a few lines of aliases can stand for gigabytes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

import yaml

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"
Place: TypeAlias = "tuple[str | int, ...]"

MAX_BYTES = 512 * 2**10
"""Of a file. An object of Kubernetes cannot be much larger."""
MAX_DOCUMENTS, MAX_VALUES, MAX_DEPTH = 500, 50_000, 60
MAX_TEXT = 4 * MAX_BYTES
"""Characters of all values together, aliases counted each time."""

_TAG = "tag:yaml.org,2002:"
_TAGS = frozenset(
    _TAG + name for name in ("map", "seq", "null", "bool", "int", "float", "str", "timestamp", "value", "merge")
)


class UnreadableError(ValueError):
    """A file that is no YAML: why, in a sentence. `line` counts from 1; 0 if it is about the whole file."""

    def __init__(self, sentence: str, line: int = 0) -> None:
        super().__init__(sentence)
        self.line = line


class Document(NamedTuple):
    """One document of a file.

    Attributes:
        value: As JSON would hold it.
        line: Where it starts, from 1.
        lines: Where each of its fields starts.
        twice: Fields that are written more than once, with the line of the later one. The first counts here.
    """

    value: Value
    line: int
    lines: dict[Place, int]
    twice: tuple[tuple[Place, int], ...]

    def line_of(self, place: Place) -> int:
        """The line of a field, or of the nearest one above it that is written."""
        return next(
            (self.lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in self.lines), self.line
        )


def read(path: Path) -> str:
    """The text of a file.

    Raises:
        UnreadableError: It cannot be read, is too large or no UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UnreadableError(f"it has over {MAX_BYTES >> 10} KiB; split it")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UnreadableError(f"it cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UnreadableError(f"it is no UTF-8 text (byte {error.start}); save it as UTF-8") from error


def parse(text: str) -> tuple[Document, ...]:
    """The documents of a text; empty ones are left out.

    Raises:
        UnreadableError: It is no YAML, or more than a file may hold.
    """
    if len(text) > MAX_BYTES:
        raise UnreadableError(f"it has over {MAX_BYTES >> 10} KiB; split it")
    try:
        nodes = [node for node in itertools.islice(_nodes(text), MAX_DOCUMENTS + 1) if node is not None]
        if len(nodes) > MAX_DOCUMENTS:
            raise UnreadableError(f"it has over {MAX_DOCUMENTS} documents; split it")
        budget = _Budget()
        return tuple(made for node in nodes if (made := _document(node, budget)).value is not None)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise UnreadableError(f"it is no YAML: {problem}", mark.line + 1 if mark else 0) from error
    except yaml.YAMLError as error:
        raise UnreadableError(f"it is no YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise UnreadableError("it is nested too deeply; no experiment is") from error


class _Loader(yaml.SafeLoader):
    """As kubectl reads YAML: by version 1.1, in which `y` and `n` are bools."""


_Loader.add_implicit_resolver(f"{_TAG}bool", re.compile("[yYnN]$"), list("yYnN"))


def _nodes(text: str) -> Iterator[yaml.Node | None]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            yield loader.get_node()
    finally:
        loader.dispose()


class _Budget:
    """How much may still be made of a file."""

    left = MAX_VALUES
    text = MAX_TEXT

    def spend(self, node: yaml.Node, depth: int) -> None:
        self.left -= 1
        self.text -= len(node.value) if isinstance(node, yaml.ScalarNode) else 0
        if self.left < 0 or self.text < 0:
            raise UnreadableError(
                f"it holds over {MAX_VALUES} values or {MAX_TEXT >> 20} MiB, aliases counted; split it", _line(node)
            )
        if depth > MAX_DEPTH:
            raise UnreadableError(f"it is nested over {MAX_DEPTH} levels deep; no experiment is", _line(node))


class _Reader:
    def __init__(self, budget: _Budget) -> None:
        self.budget = budget
        self.lines: dict[Place, int] = {}
        self.twice: list[tuple[Place, int]] = []

    def value(self, node: yaml.Node, place: Place) -> Value:
        self.budget.spend(node, len(place))
        if node.tag not in _TAGS:
            raise UnreadableError(f"the tag {node.tag[:80]!r} is none that Kubernetes knows; leave it out", _line(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            made: list[Value] = []
            for number, child in enumerate(node.value):
                self.lines[(*place, number)] = _line(child)
                made.append(self.value(child, (*place, number)))
            return made
        return _scalar(node) if isinstance(node, yaml.ScalarNode) else None

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Value]:
        made: dict[str, Value] = {}
        merged: list[yaml.Node] = []
        for key, child in node.value:
            if key.tag == f"{_TAG}merge":
                merged.append(child)
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise UnreadableError("a key is a list or a mapping; write a name", _line(key))
            name = str(key.value)
            if name in made:
                self.twice.append(((*place, name), _line(key)))
                continue
            self.lines[(*place, name)] = _line(key)
            made[name] = self.value(child, (*place, name))
        for child in merged:
            self._merge(child, made, place)
        return made

    def _merge(self, node: yaml.Node, made: dict[str, Value], place: Place) -> None:
        """YAML's `<<`: fields of another mapping, where there are none of that name."""
        for each in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(each, yaml.MappingNode):
                raise UnreadableError("<< merges mappings, and this is none", _line(each))
            other = _Reader(self.budget)
            found = other.value(each, place)
            for name, value in found.items() if isinstance(found, dict) else ():
                made.setdefault(name, value)
            for inner, line in other.lines.items():
                self.lines.setdefault(inner, line)


def _document(node: yaml.Node, budget: _Budget) -> Document:
    reader = _Reader(budget)
    value = reader.value(node, ())
    return Document(value, _line(node), reader.lines, tuple(reader.twice))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


_PLAIN = yaml.SafeLoader("")
"""Makes int and float of their texts; it holds no state between calls."""
_TRUE = ("y", "yes", "true", "on")


def _scalar(node: yaml.ScalarNode) -> Value:
    """Null, a bool, a number, or else the text: dates and the like are texts to Kubernetes."""
    kind, text = node.tag.removeprefix(_TAG), str(node.value)
    made: object = text
    try:
        if kind == "null":
            made = None
        elif kind == "bool":
            made = text.lower() in _TRUE
        elif kind == "int" and ":" not in text:
            made = _PLAIN.construct_yaml_int(node)
            str(made)  # what cannot even be written down is no number here
        elif kind == "float" and ":" not in text:
            made = _PLAIN.construct_yaml_float(node)
    except (ArithmeticError, LookupError, ValueError):
        made = text
    return made if isinstance(made, bool | int | float) or made is None else text
