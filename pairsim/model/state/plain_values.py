"""Plain values of objects that numpy, or another library like it, made."""

from __future__ import annotations


def plain_item(value: object) -> object:
    """Returns the only element of a scalar or an array of numpy, or of another library like it; else the value itself.

    Raises:
        ValueError: The array does not have exactly one element.
    """
    item = getattr(value, "item", None)
    return item() if callable(item) else value
