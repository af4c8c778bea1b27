"""The controller's copy of the objects of one kind: never older than what was seen before; sans-I/O.

What an apply answers is put in at once, so that the next decision stands on it; what a watch says later may be older
than that, and is passed over. What it says of the same version is not: the answer may hold what somebody else wrote.
An answer may also come after the watch has told that the object is gone, and does not bring it back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec
import structlog

from pairsim_controller.kube.api.objects import Object
from pairsim_controller.kube.api.port import Body

log = structlog.get_logger()

T = TypeVar("T", bound=Object)


class Mirror(Generic[T]):
    """Objects by name."""

    def __init__(self, kind: type[T]) -> None:
        """`kind` is what they are read as."""
        self._kind = kind
        self._objects: dict[str, T] = {}

    def put(self, body: Body) -> T | None:
        """Takes an object in; None if it is known to be older than what is here, or if it cannot be read."""
        found = self._read(body)
        return self._take(found) if found is not None else None

    def answer(self, body: Body) -> T | None:
        """Takes in what an apply answered; None also if the object went meanwhile."""
        found = self._read(body)
        here = self._objects.get(found.metadata.name) if found is not None else None
        if found is None or here is None or here.metadata.uid != found.metadata.uid:
            return None
        return self._take(found)

    def _read(self, body: Body) -> T | None:
        try:
            return msgspec.convert(body, self._kind)
        except msgspec.ValidationError as error:
            log.warning("an object is passed over: it cannot be read", kind=self._kind.__name__, reason=str(error))
            return None

    def _take(self, found: T) -> T | None:
        before = self._objects.get(found.metadata.name)
        if before is not None and before.metadata.uid == found.metadata.uid and _version(before) > _version(found):
            return None
        self._objects[found.metadata.name] = found
        return found

    def drop(self, name: str) -> None:
        """It is gone."""
        self._objects.pop(name, None)

    def get(self, name: str) -> T | None:
        """An object, if it is there."""
        return self._objects.get(name)

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._objects.values()))

    def __len__(self) -> int:
        return len(self._objects)


def _version(found: Object) -> int:
    """Versions of one object are numbers that grow; what is none is older than all."""
    version = found.metadata.resource_version
    return int(version) if version.isascii() and version.isdigit() else -1
