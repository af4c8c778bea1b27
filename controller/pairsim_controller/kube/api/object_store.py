"""The controller's copy of the objects of one kind, which never goes back to an older version. Sans-I/O.

Objects arrive on two ways. The answer to an apply is stored at once, so the next decision builds on it. The watch may
bring an older version later, which is ignored. The watch's event of the *same* version is not ignored: the answer may
contain a change of another writer, and nobody has reacted to it yet. An answer may also arrive after the watch's event
that the object is deleted; such an answer does not bring the object back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import msgspec
import structlog

from pairsim_controller.kube.api.objects import Object
from pairsim_controller.kube.api.port import Body

log = structlog.get_logger()

T = TypeVar("T", bound=Object)


class ObjectStore(Generic[T]):
    """Objects of one kind, by name."""

    def __init__(self, kind: type[T], *, accepts: Callable[[T], bool] = lambda _found: True) -> None:
        """Stores objects as `kind`; one that is not stored yet only if `accepts` returns True for it."""
        self._kind, self._accepts = kind, accepts
        self._objects: dict[str, T] = {}

    def apply_event(self, body: Body) -> T | None:
        """Stores an object of a list or a watch.

        Returns the object; None if a newer version is stored, if it is not accepted, or if it cannot be read.
        """
        found = self._read(body)
        return self._store(found) if found is not None else None

    def apply_response(self, body: Body) -> T | None:
        """Stores the object in the answer to an apply.

        Returns the object; None if a newer version is stored, if the object was deleted meanwhile, or if it cannot be
        read.
        """
        found = self._read(body)
        here = self._objects.get(found.metadata.name) if found is not None else None
        if found is None or here is None or here.metadata.uid != found.metadata.uid:
            return None
        return self._store(found)

    def _read(self, body: Body) -> T | None:
        try:
            return msgspec.convert(body, self._kind)
        except msgspec.ValidationError as error:
            log.warning("ignored unreadable object", kind=self._kind.__name__, reason=str(error))
            return None

    def _store(self, found: T) -> T | None:
        before = self._objects.get(found.metadata.name)
        known = before is not None and before.metadata.uid == found.metadata.uid
        if before is not None and known and _version(before) > _version(found):
            return None
        if not known and not self._accepts(found):
            return None
        self._objects[found.metadata.name] = found
        return found

    def remove(self, name: str) -> None:
        """Removes a deleted object."""
        self._objects.pop(name, None)

    def get(self, name: str) -> T | None:
        """Returns an object; None if it is not stored."""
        return self._objects.get(name)

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._objects.values()))

    def __len__(self) -> int:
        return len(self._objects)


def _version(found: Object) -> int:
    """Returns the version as a number, which grows with each change of the object; -1 if it is not a number."""
    version = found.metadata.resource_version
    return int(version) if version.isascii() and version.isdigit() else -1
