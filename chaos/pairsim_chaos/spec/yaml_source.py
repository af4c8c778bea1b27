"""Reads experiment files: YAML whose fields know their lines.

A finding names a line. Files are therefore composed instead of loaded: values are converted from YAML's nodes, which
know their positions. Any input results in documents or in an error of one sentence: size, depth and the number of
values are bounded, because a few lines of aliases can expand to gigabytes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

import yaml

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"
FieldPath: TypeAlias = "tuple[str | int, ...]"

MAX_BYTES = 512 * 2**10
"""The largest file; an object of Kubernetes cannot be much larger."""
MAX_DOCUMENTS, MAX_VALUES, MAX_DEPTH = 500, 50_000, 60
MAX_TEXT = 4 * MAX_BYTES
"""The most characters in all values together; aliases count each time they are used."""

_TAG = "tag:yaml.org,2002:"
_TAGS = frozenset(
    _TAG + name for name in ("map", "seq", "null", "bool", "int", "float", "str", "timestamp", "value", "merge")
)


class UnreadableError(ValueError):
    """A file that cannot be read as YAML; the message is a sentence.

    Attributes:
        line: The line of the problem, counted from 1; 0 if the problem concerns the whole file.
    """

    def __init__(self, sentence: str, line: int = 0) -> None:
        super().__init__(sentence)
        self.line = line


class Document(NamedTuple):
    """One document of a file.

    Attributes:
        value: The content as JSON would hold it.
        line: The line on which the document starts, counted from 1.
        lines: The line on which each field starts.
        duplicates: Fields that are written more than once, with the line of the later one; the first one is used.
    """

    value: Value
    line: int
    lines: dict[FieldPath, int]
    duplicates: tuple[tuple[FieldPath, int], ...]

    def line_of(self, path: FieldPath) -> int:
        """Returns the line of a field, or of the nearest written field above it."""
        return next((self.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self.lines), self.line)


def read(path: Path) -> str:
    """Returns the text of a file.

    Raises:
        UnreadableError: The file cannot be opened, is too large, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UnreadableError(f"the file is larger than {MAX_BYTES >> 10} KiB; split it")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UnreadableError(f"the file cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UnreadableError(f"the file is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def parse(text: str) -> tuple[Document, ...]:
    """Returns the documents of a text; empty documents are left out.

    Raises:
        UnreadableError: The text is not YAML, or holds more than a file may hold.
    """
    if len(text) > MAX_BYTES:
        raise UnreadableError(f"the file is larger than {MAX_BYTES >> 10} KiB; split it")
    try:
        nodes = [node for node in itertools.islice(_nodes(text), MAX_DOCUMENTS + 1) if node is not None]
        if len(nodes) > MAX_DOCUMENTS:
            raise UnreadableError(f"the file has more than {MAX_DOCUMENTS} documents; split it")
        budget = _SizeBudget()
        return tuple(made for node in nodes if (made := _document(node, budget)).value is not None)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise UnreadableError(f"the file is not valid YAML: {problem}", mark.line + 1 if mark else 0) from error
    except yaml.YAMLError as error:
        raise UnreadableError(f"the file is not valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise UnreadableError("the file is nested too deeply for an experiment") from error


class _KubectlYamlLoader(yaml.SafeLoader):
    """Reads YAML as kubectl does: by version 1.1, in which `y` and `n` are booleans."""


_KubectlYamlLoader.add_implicit_resolver(f"{_TAG}bool", re.compile("[yYnN]$"), list("yYnN"))


def _nodes(text: str) -> Iterator[yaml.Node | None]:
    loader = _KubectlYamlLoader(text)
    try:
        while loader.check_node():
            yield loader.get_node()
    finally:
        loader.dispose()


class _SizeBudget:
    """The number of values and characters that a file may still expand to."""

    left = MAX_VALUES
    text = MAX_TEXT

    def spend(self, node: yaml.Node, depth: int) -> None:
        self.left -= 1
        self.text -= len(node.value) if isinstance(node, yaml.ScalarNode) else 0
        if self.left < 0 or self.text < 0:
            raise UnreadableError(
                f"the file holds more than {MAX_VALUES} values or {MAX_TEXT >> 20} MiB, aliases expanded; split it",
                _line(node),
            )
        if depth > MAX_DEPTH:
            raise UnreadableError(
                f"the file is nested more than {MAX_DEPTH} levels deep, too deep for an experiment", _line(node)
            )


class _NodeConverter:
    def __init__(self, budget: _SizeBudget) -> None:
        self.budget = budget
        self.lines: dict[FieldPath, int] = {}
        self.duplicates: list[tuple[FieldPath, int]] = []

    def value(self, node: yaml.Node, path: FieldPath) -> Value:
        self.budget.spend(node, len(path))
        if node.tag not in _TAGS:
            raise UnreadableError(f"Kubernetes does not know the tag {node.tag[:80]!r}; remove the tag", _line(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            made: list[Value] = []
            for number, child in enumerate(node.value):
                self.lines[(*path, number)] = _line(child)
                made.append(self.value(child, (*path, number)))
            return made
        return _scalar(node) if isinstance(node, yaml.ScalarNode) else None

    def _mapping(self, node: yaml.MappingNode, path: FieldPath) -> dict[str, Value]:
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
                self.duplicates.append(((*path, name), _line(key)))
                continue
            self.lines[(*path, name)] = _line(key)
            made[name] = self.value(child, (*path, name))
        for child in merged:
            self._merge(child, made, path)
        return made

    def _merge(self, node: yaml.Node, made: dict[str, Value], path: FieldPath) -> None:
        """Applies YAML's `<<`: adds the fields of another mapping whose names are not in use yet."""
        for each in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(each, yaml.MappingNode):
                raise UnreadableError("<< merges mappings, and this value is not a mapping", _line(each))
            other = _NodeConverter(self.budget)
            found = other.value(each, path)
            for name, value in found.items() if isinstance(found, dict) else ():
                made.setdefault(name, value)
            for inner, line in other.lines.items():
                self.lines.setdefault(inner, line)


def _document(node: yaml.Node, budget: _SizeBudget) -> Document:
    reader = _NodeConverter(budget)
    value = reader.value(node, ())
    return Document(value, _line(node), reader.lines, tuple(reader.duplicates))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


_PLAIN = yaml.SafeLoader("")
"""Converts texts to int and float; it keeps no state between calls."""
_TRUE = ("y", "yes", "true", "on")


def _scalar(node: yaml.ScalarNode) -> Value:
    """Returns null, a boolean, a number, or else the text: Kubernetes reads dates and similar values as text."""
    kind, text = node.tag.removeprefix(_TAG), str(node.value)
    made: object = text
    try:
        if kind == "null":
            made = None
        elif kind == "bool":
            made = text.lower() in _TRUE
        elif kind == "int" and ":" not in text:
            made = _PLAIN.construct_yaml_int(node)
            str(made)  # Python refuses to print huge integers; such a value stays text
        elif kind == "float" and ":" not in text:
            made = _PLAIN.construct_yaml_float(node)
    except (ArithmeticError, LookupError, ValueError):
        made = text
    return made if isinstance(made, bool | int | float) or made is None else text
