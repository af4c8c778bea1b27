"""The data folder of a local world: its secret and token, its lock, and the areas that it was started with."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

import msgspec

from pairsim.model.assignment import AreaSpec, Assignment


class FolderError(Exception):
    """The data folder cannot be used; a sentence for the user."""


_FIXED = ("plane", "simulator", "seed", "bounds", "world", "entities", "tick_rate", "parameters")


class DataFolder:
    """Opened by one `pairsim up` at a time."""

    def __init__(self, path: Path) -> None:
        """Creates what is missing, and locks it.

        Raises:
            FolderError: It is in use, or cannot be written.
        """
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.token = self._keep("token")
            self._keep("secret")
        except BlockingIOError:
            raise FolderError(f"the data folder {path} is in use by another `pairsim up`") from None
        except OSError as error:
            raise FolderError(f"cannot use the data folder {path}: {error.strerror}") from error

    def _keep(self, name: str) -> str:
        """A random word that is made once, and readable by nobody else."""
        path = self.path / name
        if not path.exists():
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
        return path.read_text(encoding="ascii").strip()

    def check(self, areas: tuple[AreaSpec, ...], *, release: bool) -> None:
        """Compares the world file with the areas that live here.

        Raises:
            FolderError: An area is gone from the file (unless `release`), or something of it changed that cannot.
        """
        path = self.path / "areas.json"
        if not path.exists():
            return
        wanted = {spec.area: spec for spec in areas}
        for name, assignment in msgspec.json.decode(path.read_bytes(), type=dict[str, Assignment]).items():
            spec = wanted.get(name)
            if spec is None and not release:
                raise FolderError(
                    f"area {name} lives in {self.path} and is not in the world file:"
                    " add it, or give --release to delete it with its state"
                )
            if spec is None:
                continue
            changed = [field for field in _FIXED if getattr(spec, field) != getattr(assignment.spec, field)]
            if changed:
                raise FolderError(
                    f"area {name} lives in {self.path} with another {', '.join(changed)}:"
                    " these cannot change; use another --data folder for another world"
                )
