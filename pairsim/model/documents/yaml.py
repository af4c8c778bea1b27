"""The one reader of YAML files that users write: world files and chaos experiment files.

A text becomes documents as JSON would hold them. Every field knows the line at which it starts, so that a problem can
name its line. Values mean the same as for kubectl: YAML 1.1, keys are texts, `y` and `n` are bools, and dates and times
are texts.

Files may come from anybody, so the reader is guarded. It composes YAML's nodes and makes plain values of them itself,
without any constructor of Python objects. The number of characters, documents and values and the depth are limited,
since a few lines of aliases can stand for gigabytes. Whatever the text holds, the result is documents or a `YamlError`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import yaml

YamlValue: TypeAlias = "bool | int | float | str | list[YamlValue] | dict[str, YamlValue] | None"
YamlPath: TypeAlias = "tuple[str | int, ...]"
"""The keys and indexes that lead to a field."""

_TAG = "tag:yaml.org,2002:"
_TAGS = frozenset(
    _TAG + name for name in ("map", "seq", "null", "bool", "int", "float", "str", "timestamp", "value", "merge")
)
_TRUE = ("y", "yes", "true", "on")


class YamlLimits(NamedTuple):
    """What a file may hold at most.

    Attributes:
        characters: The length of the text.
        documents: The number of documents.
        values: The number of values in all documents; a value counts each time that an alias repeats it.
        depth: The depth of nested lists and mappings.
    """

    characters: int
    documents: int
    values: int
    depth: int = 60

    @property
    def value_characters(self) -> int:
        """The characters of all values together; a value counts each time that an alias repeats it."""
        return 4 * self.characters


class YamlError(ValueError):
    """The error for a text that cannot be read.

    Attributes:
        line: The line of the problem, counted from 1; 0 if it concerns the whole file.
    """

    def __init__(self, sentence: str, line: int = 0) -> None:
        super().__init__(sentence)
        self.line = line


class YamlDocument(NamedTuple):
    """One document of a file.

    Attributes:
        value: The content, as JSON would hold it.
        number: The place in the file, counted from 1; empty documents count as well.
        line: The line at which the document starts, counted from 1.
        lines: The line at which each field starts.
        duplicates: The fields that are written more than once, with the line of the later one. `value` has the first.
    """

    value: YamlValue
    number: int
    line: int
    lines: dict[YamlPath, int]
    duplicates: tuple[tuple[YamlPath, int], ...]

    def line_of(self, path: YamlPath) -> int:
        """Returns the line of a field, or of the nearest enclosing field that is in the file."""
        return next((self.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self.lines), self.line)


def parse_yaml(text: str, limits: YamlLimits) -> tuple[YamlDocument, ...]:
    """Returns the documents of a text; empty ones are left out.

    Raises:
        YamlError: The text is not valid YAML, or exceeds a limit.
    """
    if len(text) > limits.characters:
        raise YamlError(f"the file has over {limits.characters >> 10} KiB: split it")
    try:
        nodes = list(itertools.islice(_compose(text), limits.documents + 1))
        if len(nodes) > limits.documents:
            raise YamlError(f"the file has over {limits.documents} documents: split it")
        budget = _Budget(limits)
        documents = (_document(node, number, budget) for number, node in enumerate(nodes, 1) if node is not None)
        return tuple(document for document in documents if document.value is not None)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise YamlError(f"the file is not valid YAML: {problem}", mark.line + 1 if mark else 0) from error
    except yaml.YAMLError as error:
        raise YamlError(f"the file is not valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise YamlError("the file is nested too deeply: flatten it") from error


class _NodeLoader(yaml.SafeLoader):
    """A loader that resolves tags as kubectl does: by YAML 1.1, in which `y` and `n` are bools."""


_NodeLoader.add_implicit_resolver(f"{_TAG}bool", re.compile("[yYnN]$"), list("yYnN"))


def _compose(text: str) -> Iterator[yaml.Node | None]:
    loader = _NodeLoader(text)
    try:
        while loader.check_node():
            yield loader.get_node()
    except (ValueError, OverflowError) as error:  # PyYAML does not check such numbers
        raise YamlError("the file is not valid YAML: the number of an escape or a directive is too large") from error
    finally:
        loader.dispose()


class _Budget:
    """How much may still be made of a file."""

    def __init__(self, limits: YamlLimits) -> None:
        self._limits = limits
        self._values, self._characters = limits.values, limits.value_characters

    def spend(self, node: yaml.Node, depth: int) -> None:
        """Takes one value from the budget, or raises `YamlError`."""
        self._values -= 1
        self._characters -= len(node.value) if isinstance(node, yaml.ScalarNode) else 0
        if self._values < 0 or self._characters < 0:
            raise YamlError(
                f"the file holds over {self._limits.values} values or {self._limits.value_characters >> 20} MiB, "
                "aliases counted: split it",
                _line(node),
            )
        if depth > self._limits.depth:
            raise YamlError(f"the file is nested over {self._limits.depth} levels deep: flatten it", _line(node))


class _NodeReader:
    """Makes plain values of the nodes of one document."""

    def __init__(self, budget: _Budget) -> None:
        self._budget = budget
        self.lines: dict[YamlPath, int] = {}
        self.duplicates: list[tuple[YamlPath, int]] = []

    def value(self, node: yaml.Node, path: YamlPath) -> YamlValue:
        self._budget.spend(node, len(path))
        if node.tag not in _TAGS:
            raise YamlError(f"the tag {node.tag[:80]!r} is unknown to Kubernetes: leave it out", _line(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            items: list[YamlValue] = []
            for number, child in enumerate(node.value):
                self.lines[(*path, number)] = _line(child)
                items.append(self.value(child, (*path, number)))
            return items
        return _scalar(node) if isinstance(node, yaml.ScalarNode) else None

    def _mapping(self, node: yaml.MappingNode, path: YamlPath) -> dict[str, YamlValue]:
        fields: dict[str, YamlValue] = {}
        merged: list[yaml.Node] = []
        for key, child in node.value:
            if key.tag == f"{_TAG}merge":
                merged.append(child)
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise YamlError("a key is a list or a mapping: write a name", _line(key))
            name = str(key.value)
            if name in fields:
                self.duplicates.append(((*path, name), _line(key)))
                continue
            self.lines[(*path, name)] = _line(key)
            fields[name] = self.value(child, (*path, name))
        for child in merged:
            self._merge(child, fields, path)
        return fields

    def _merge(self, node: yaml.Node, fields: dict[str, YamlValue], path: YamlPath) -> None:
        """Applies YAML's `<<`: adds the fields of another mapping that this one does not have."""
        for each in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(each, yaml.MappingNode):
                raise YamlError("<< merges mappings only: write one", _line(each))
            other = _NodeReader(self._budget)
            found = other.value(each, path)
            for name, value in found.items() if isinstance(found, dict) else ():
                fields.setdefault(name, value)
            for inner, line in other.lines.items():
                self.lines.setdefault(inner, line)


def _document(node: yaml.Node, number: int, budget: _Budget) -> YamlDocument:
    reader = _NodeReader(budget)
    value = reader.value(node, ())
    return YamlDocument(value, number, _line(node), reader.lines, tuple(reader.duplicates))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


_NUMBERS = yaml.SafeLoader("")
"""Makes ints and floats of their texts; it holds no state between calls."""


def _scalar(node: yaml.ScalarNode) -> YamlValue:
    """Returns null, a bool or a number, or else the text: dates and the like are texts to Kubernetes."""
    kind, text = node.tag.removeprefix(_TAG), str(node.value)
    made: object = text
    try:
        if kind == "null":
            made = None
        elif kind == "bool":
            made = text.lower() in _TRUE
        elif kind == "int" and ":" not in text:
            made = _NUMBERS.construct_yaml_int(node)
            str(made)  # raises for a number with more digits than Python writes down
        elif kind == "float" and ":" not in text:
            made = _NUMBERS.construct_yaml_float(node)
    except (ArithmeticError, LookupError, ValueError):
        made = text
    return made if isinstance(made, bool | int | float) or made is None else text
