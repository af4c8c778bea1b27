"""The data folder of a local world: its lock, secret and token, its assignments and backups, and the maps of planes."""

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
from pairsim.model.decode_errors import UNDECODABLE
from pairsim.model.state.schema import Schema
from pairsim.model.state.stored_schema import SCHEMA_FILE, decode_schema, schema_difference, schema_refusal
from pairsim_controller.plan.authority import MapRecord
from pairsim_controller.reconcile.backup_folder import BackupFolder

T = TypeVar("T")

_ASSIGNMENTS_FILE, _BACKUPS_FILE, _MAPS_FILE = "areas.json", "saved.json", "maps.json"


class FolderError(Exception):
    """The data folder cannot be used; the text is a sentence for the user."""


class DataFolder:
    """A folder that one `pairsim up` at a time has locked.

    Attributes:
        path: The folder.
        backups: The folder with the last states of released areas.
        token: The token of the simulators' control paths.
    """

    def __init__(self, path: Path) -> None:
        """Creates and locks the folder, and creates its secret and token if they are missing.

        Raises:
            FolderError: The folder is in use or damaged, or cannot be written.
        """
        self.path = path
        self.backups = BackupFolder(path / "backups")
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.token = self._random_word("token")
            self._random_word("secret")
        except BlockingIOError:
            raise FolderError(f"the data folder {path} is in use by another `pairsim up`") from None
        except OSError as error:
            raise FolderError(f"cannot use the data folder {path}: {error.strerror}") from error

    def _random_word(self, name: str) -> str:
        """Returns a random word, which is made once in a file that only its owner can read."""
        path = self.path / name
        if not path.exists():
            temporary = self.path / f"{name}.tmp"
            temporary.unlink(missing_ok=True)
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
            temporary.replace(path)  # a full disk leaves no empty file
        word = path.read_bytes().strip()
        if re.fullmatch(rb"[!-~]{16,}", word) is None:
            raise FolderError(f"{path} needs a word of 16 characters or more: restore it, or use another --data folder")
        return word.decode("ascii")

    def assignments(self) -> dict[str, Assignment]:
        """Returns the newest recorded assignment of each area.

        Raises:
            FolderError: The file cannot be read.
        """
        return self.read(_ASSIGNMENTS_FILE, dict[str, Assignment]) or {}

    def write_assignments(self, assignments: dict[str, Assignment]) -> None:
        """Records the assignments by area; returns when they are on disk. Raises OSError."""
        self.write(_ASSIGNMENTS_FILE, assignments)

    def backup_files(self) -> dict[str, str]:
        """Returns the name of the file with the last state of each area that is being released.

        Raises:
            FolderError: The file cannot be read.
        """
        return self.read(_BACKUPS_FILE, dict[str, str]) or {}

    def write_backup_files(self, files: dict[str, str]) -> None:
        """Records the names of backup files by area; returns when they are on disk. Raises OSError."""
        self.write(_BACKUPS_FILE, files)

    def maps(self) -> dict[str, MapRecord]:
        """Returns the record of the newest map of each plane.

        Raises:
            FolderError: The file cannot be read.
        """
        return self.read(_MAPS_FILE, dict[str, MapRecord]) or {}

    def write_maps(self, records: dict[str, MapRecord]) -> None:
        """Records the maps by plane; returns when they are on disk. Raises OSError."""
        self.write(_MAPS_FILE, records)

    def read(self, name: str, kind: type[T]) -> T | None:
        """Returns the content of one of the folder's JSON files; None if it does not exist.

        Raises:
            FolderError: The file cannot be read.
        """
        path = self.path / name
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise FolderError(f"{path} cannot be read: {error}; restore it, or use another --data folder") from error

    def write(self, name: str, content: object) -> None:
        """Replaces one of the folder's JSON files atomically. Raises OSError."""
        temporary = self.path / f"{name}.tmp"
        with temporary.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(content)))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path / name)

    def check(self, areas: tuple[AreaSpec, ...], *, release: bool) -> None:
        """Compares the areas of the world file with the recorded ones.

        Args:
            areas: The areas of the world file.
            release: Whether recorded areas may be missing from the world file.

        Raises:
            FolderError: An area is missing from the world file, or a field that cannot change has changed.
        """
        wanted = {spec.area: spec for spec in areas}
        for name, assignment in self.assignments().items():
            spec = wanted.get(name)
            if spec is None and not release:
                raise FolderError(
                    f"area {name} lives in {self.path} and is missing from the world file:"
                    " add it, or give --release to release it; backups/ keeps its last state then"
                )
            if spec is None:
                continue
            if changed := spec.changed_fields(assignment.spec):
                raise FolderError(
                    f"area {name} lives in {self.path} and was made with other values of: {', '.join(changed)}."
                    " These cannot change; use another --data folder for another world"
                )

    def check_schema(self, spec: AreaSpec, schema: Schema) -> None:
        """Compares the states that the processes hold of an area with the columns of its simulator.

        Raises:
            FolderError: A process holds a state with other columns.
        """
        for path in sorted(self.path.glob(f"*/areas/{spec.area}/{SCHEMA_FILE}")):
            try:
                difference = schema_difference(decode_schema(path.read_bytes()), schema)
            except (OSError, ValueError, *UNDECODABLE):
                continue  # the process itself compares what it can read
            if difference:
                raise FolderError(schema_refusal(spec.area, self.path, spec.simulator, difference))
