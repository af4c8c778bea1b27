"""Text of objects from a simulator's code, whose `__str__` may raise or return megabytes that no encoding knows."""

from __future__ import annotations

MAX_TEXT_CHARACTERS = 4096
_NO_TEXT = "its text cannot be shown"


def foreign_text(value: object, limit: int = MAX_TEXT_CHARACTERS) -> str:
    """Returns the text of any object, at most `limit` characters long; it can be encoded as UTF-8."""
    text = _text(value)
    return (f"{type(value).__name__} ({_NO_TEXT})" if text is None else text)[:limit]


def error_text(error: BaseException, limit: int = MAX_TEXT_CHARACTERS) -> str:
    """Returns the type and the text of an exception, at most `limit` characters: `str(KeyError("x"))` is only `'x'`."""
    text = _text(error)
    return f"{type(error).__name__}: {_NO_TEXT if text is None else text}".removesuffix(": ")[:limit]


def _text(value: object) -> str | None:
    try:
        text = str.__str__(str(value))  # also of a subclass of str, which the log could not encode
    except (Exception, SystemExit):  # noqa: BLE001 - it is foreign code
        return None
    return text.encode(errors="replace").decode()
