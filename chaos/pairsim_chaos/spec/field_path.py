"""A field of a document together with its path, for rules that run on files of any content.

Rules also run on files that the schema rejects, so that a user sees all problems at once. Reading a missing field, or a
field of another type than expected, therefore returns an empty value and never raises; the schema checks the types.
"""

from __future__ import annotations

import reprlib
from dataclasses import dataclass

from pairsim.model.documents.yaml import YamlPath, YamlValue


@dataclass(frozen=True)
class Field:
    """A path in a document and the value at that path; None stands for a missing value."""

    path: YamlPath
    value: YamlValue

    def at(self, *names: str) -> Field:
        """Returns the field below this one that the names lead to."""
        value = self.value
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return Field((*self.path, *names), value)

    @property
    def exists(self) -> bool:
        """Returns whether a value is written; null counts as missing, as it does for the API server."""
        return self.value is not None

    def below(self, path: YamlPath) -> Field:
        """Returns the field at a path below this one; the path may lead through lists."""
        value = self.value
        for part in path:
            if isinstance(value, dict) and isinstance(part, str):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int):
                value = value[part]
            else:
                value = None
        return Field((*self.path, *path), value)

    @property
    def text(self) -> str:
        """Returns the value if it is a string, else an empty string."""
        return self.value if isinstance(self.value, str) else ""

    @property
    def is_text(self) -> bool:
        """Returns whether the value is a string, which may be empty."""
        return isinstance(self.value, str)

    @property
    def integer(self) -> int | None:
        """Returns the value if it is an integer, else None."""
        return self.value if isinstance(self.value, int) and not isinstance(self.value, bool) else None

    @property
    def fields(self) -> tuple[Field, ...]:
        """Returns the fields of a mapping."""
        value = self.value
        return tuple(self.at(name) for name in value) if isinstance(value, dict) else ()

    @property
    def items(self) -> tuple[Field, ...]:
        """Returns the items of a list."""
        value = self.value
        if not isinstance(value, list):
            return ()
        return tuple(Field((*self.path, number), each) for number, each in enumerate(value))

    @property
    def name(self) -> str:
        """Returns the last part of the path."""
        return str(self.path[-1]) if self.path else ""


def format_path(path: YamlPath) -> str:
    """Returns a path as users write it: `spec.templates[2].name`; names with dots stand in brackets."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isidentifier() or part.replace("-", "").isalnum():
            text += f".{part}" if text else part
        else:
            text += f"[{quote(part)}]"
    return text or "(document)"


def quote(value: object) -> str:
    """Returns a value for use in a sentence: quoted, on one line, at most 60 characters."""
    plain = isinstance(value, str)
    text = repr(str(value)[:100].encode("utf-8", "replace").decode()) if plain else reprlib.repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
