"""Finds the objects of a document: the document itself, or the items of a `List` as `kubectl get -o yaml` writes it."""

from __future__ import annotations

from collections.abc import Iterator

from pairsim.model.documents.yaml import YamlDocument
from pairsim_chaos.spec.field_path import Field
from pairsim_chaos.spec.schema import KINDS

_LISTS = ("List", *(f"{kind}List" for kind in KINDS))


def listed_objects(document: YamlDocument) -> Iterator[Field]:
    """Yields the objects of a document in their order; lists may hold lists.

    A list without items is yielded itself, so that it does not go unnoticed.
    """
    yield from _objects(Field((), document.value))


def is_list(found: Field) -> bool:
    """Returns whether an object is a list of objects by its kind."""
    return found.at("kind").text in _LISTS


def _objects(found: Field) -> Iterator[Field]:
    items = found.at("items").items if is_list(found) else ()
    if not items:
        yield found
    for item in items:
        yield from _objects(item)
