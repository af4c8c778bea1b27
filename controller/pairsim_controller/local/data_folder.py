"""The data folder of a local world: its secret and token, its lock, and the areas that it was started with."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from pathlib import Path
from typing import TypeVar

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim_controller.reconcile.backup_folder import BackupFolder

T = TypeVar("T")

_AREAS, _SAVED = "areas.json", "saved.json"


class FolderError(Exception):
    """The data folder cannot be used; a sentence for the user."""


_FIXED = {
    "plane": "plane", "simulator": "simulator", "seed": "seed", "bounds": "bounds", "world": "the plane's bounds",
    "entities": "entities", "tick_rate": "tickRate", "parameters": "parameters",
}  # fmt: skip
"""What cannot change of an area, and as the world file calls it."""


class DataFolder:
    """Opened by one `pairsim up` at a time."""

    def __init__(self, path: Path) -> None:
        """Creates what is missing, and locks it.

        Raises:
            FolderError: It is in use or damaged, or cannot be written.
        """
        self.path = path
        self.backups = BackupFolder(path / "backups")
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
            temporary = self.path / f"{name}.tmp"
            temporary.unlink(missing_ok=True)
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
            temporary.replace(path)  # a full disk leaves no empty one
        word = path.read_bytes().strip()
        if re.fullmatch(rb"[!-~]{16,}", word) is None:
            raise FolderError(f"{path} is no word of 16 characters or more: restore it, or use another --data folder")
        return word.decode("ascii")

    def recorded(self) -> dict[str, Assignment]:
        """The newest assignment that was decided for each area.

        Raises:
            FolderError: What is written down cannot be read.
        """
        return self.read(_AREAS, dict[str, Assignment]) or {}

    def record(self, recorded: dict[str, Assignment]) -> None:
        """Writes the assignments down; afterwards they outlive a power cut. Raises OSError."""
        self.write(_AREAS, recorded)

    def saved(self) -> dict[str, str]:
        """The file with the last state of each area that is being let go.

        Raises:
            FolderError: As for `recorded`.
        """
        return self.read(_SAVED, dict[str, str]) or {}

    def save(self, saved: dict[str, str]) -> None:
        """Writes these files down. Raises OSError."""
        self.write(_SAVED, saved)

    def read(self, name: str, kind: type[T]) -> T | None:
        """One of its JSON files; None if there is none.

        Raises:
            FolderError: It cannot be read.
        """
        path = self.path / name
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise FolderError(f"{path} cannot be read: {error}; restore it, or use another --data folder") from error

    def write(self, name: str, content: object) -> None:
        """Replaces one of its JSON files in one step. Raises OSError."""
        temporary = self.path / f"{name}.tmp"
        with temporary.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(content)))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path / name)

    def check(self, areas: tuple[AreaSpec, ...], *, release: bool) -> None:
        """Compares the world file with the areas that live here.

        Raises:
            FolderError: An area is gone from the file (unless `release`), or something of it changed that cannot.
        """
        wanted = {spec.area: spec for spec in areas}
        for name, assignment in self.recorded().items():
            spec = wanted.get(name)
            if spec is None and not release:
                raise FolderError(
                    f"area {name} lives in {self.path} and is not in the world file:"
                    " add it, or give --release to let it go; its last state is kept in backups/ then"
                )
            if spec is None:
                continue
            changed = [
                told for field, told in _FIXED.items() if getattr(spec, field) != getattr(assignment.spec, field)
            ]
            if changed:
                raise FolderError(
                    f"area {name} lives in {self.path} and was made with other values of: {', '.join(changed)}."
                    " These cannot change; use another --data folder for another world"
                )
