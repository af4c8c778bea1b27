"""Documents: what is written of an example, and what may be written at all."""

from __future__ import annotations

import json

import msgspec

from tests.contract import examples, product
from tests.contract.shapes import plain_schema


def json_documents() -> dict[str, object]:
    """Returns for each JSON document an example as the product writes it, and its schema."""
    return {name: _described(kind, examples.JSON[name]) for name, kind in product.JSON_DOCUMENTS.items()}


def _described(kind: object, example: object) -> dict[str, object]:
    read = msgspec.json.decode(json.dumps(example), type=kind)
    return {"example": json.loads(msgspec.json.encode(read)), "schema": plain_schema(msgspec.json.schema(kind))}


def messagepack_documents() -> dict[str, object]:
    """Returns for each document in MessagePack some examples as they are on the wire, in hex and as what they say."""
    found: dict[str, object] = {}
    for name, kind in product.MESSAGEPACK_DOCUMENTS.items():
        encoded = [
            msgspec.msgpack.encode(msgspec.msgpack.decode(msgspec.msgpack.encode(example), type=kind))
            for example in examples.MESSAGEPACK[name]
        ]
        found[name] = {
            "examples": [{"hex": data.hex(), "says": readable(msgspec.msgpack.decode(data))} for data in encoded],
            "schema": plain_schema(msgspec.json.schema(kind)),
        }
    return found


def readable(value: object) -> object:
    """Returns a value of MessagePack as JSON can hold it: bytes as hex."""
    if isinstance(value, dict):
        return {str(key): readable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [readable(inner) for inner in value]
    return f"0x{bytes(value).hex()}" if isinstance(value, bytes | bytearray | memoryview) else value


def verdicts() -> dict[str, object]:
    """Returns what programs read of chaos experiments."""
    return {
        "json": json.loads(product.verdict_json(examples.VERDICTS)),
        "junit": product.verdict_junit(examples.VERDICTS).decode().splitlines(),
    }


def settings() -> dict[str, object]:
    """Returns what a process can be told, with the defaults."""
    return {
        name: {
            field.encode_name: "required" if field.required else _default(field) for field in msgspec.structs.fields(of)
        }
        for name, of in product.SETTINGS.items()
    }


def _default(field: msgspec.structs.FieldInfo) -> object:
    value = field.default
    return value if isinstance(value, str | int | float) else "of its own"
