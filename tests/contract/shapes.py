"""The shape of a document: its keys and the kinds of its values, without the values."""

from __future__ import annotations

import json

_KINDS: dict[type, str] = {
    bool: "bool", int: "int", float: "float", str: "string", bytes: "bytes", memoryview: "bytes", type(None): "null",
}  # fmt: skip


def shape(value: object) -> object:
    """Returns the keys of a document, and at each key the kind of its value."""
    if isinstance(value, dict):
        return {str(key): shape(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        shapes: list[object] = []
        for inner in map(shape, value):
            if inner not in shapes:
                shapes.append(inner)
        return shapes
    return _KINDS[type(value)]


def plain_schema(schema: dict[str, object]) -> object:
    """Returns a JSON schema without names of classes and without prose: every reference is written out."""
    definitions = schema.get("$defs", {})
    assert isinstance(definitions, dict)

    def plain(part: object, *, names: bool = False) -> object:
        if isinstance(part, list):
            return [plain(one) for one in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part and not names:
            return plain(definitions[str(part["$ref"]).rpartition("/")[2]])
        dropped = set() if names else {"title", "description", "$defs"}
        return {k: plain(v, names=k == "properties" and not names) for k, v in part.items() if k not in dropped}

    found = plain(schema)
    json.dumps(found)
    return found


def without_prose(part: object, *, names: bool = False) -> object:
    """Returns a Kubernetes schema without its descriptions; a property that is called `description` stays."""
    if isinstance(part, list):
        return [without_prose(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        key: without_prose(value, names=key == "properties" and not names)
        for key, value in part.items()
        if names or key != "description"
    }
