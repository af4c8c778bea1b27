"""Wheels without an installer: the image has none, and a pool's pods must not run one.

A wheel is an archive with a list of its files and their hashes (PyPA's binary distribution format). Only what can be
imported is unpacked; scripts, headers and data files are left out.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import importlib.util
import io
import platform
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_NAME = re.compile(
    r"(?P<name>[A-Za-z0-9_.]+)-(?P<version>[^-\s/]+)(-\d[^-\s/]*)?"
    r"-(?P<python>[\w.]+)-(?P<abi>[\w.]+)-(?P<platform>[\w.]+)\.whl"
)
_MAX_BYTES = 2**30
_MAX_FILES = 50_000
_IMPORTABLE = ("purelib", "platlib")


class WheelError(ValueError):
    """A wheel that cannot be used, and why."""


def check_name(filename: str) -> None:
    """Whether a wheel of that name runs on this interpreter and machine.

    Raises:
        WheelError: It does not, or this is no wheel's name.
    """
    match = _NAME.fullmatch(filename)
    if match is None:
        raise WheelError(f"{filename!r} is no wheel's name: NAME-VERSION-PYTHON-ABI-PLATFORM.whl")
    minor = sys.version_info.minor
    abi3 = "abi3" in match["abi"].split(".")
    pythons = {"py3", f"cp3{minor}"} | {f"py3{m}" for m in range(minor + 1)}
    pythons |= {f"cp3{m}" for m in range(2, minor + 1)} if abi3 else set()
    abis = {"none", "abi3", f"cp3{minor}"}
    machine = platform.machine()
    fits = (
        not pythons.isdisjoint(match["python"].split("."))
        and not abis.isdisjoint(match["abi"].split("."))
        and any(p == "any" or re.fullmatch(rf"(many)?linux\w*_{machine}", p) for p in match["platform"].split("."))
    )
    if not fits:
        raise WheelError(f"{filename} is not for Python 3.{minor} on Linux and {machine}")


def unpack(wheel: Path, folder: Path) -> None:
    """Unpacks what can be imported of a wheel into a folder that may hold other wheels' files.

    Raises:
        WheelError: The archive is damaged or dangerous, or a file is there already.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            hashes = _record(wheel.name, archive)
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) > _MAX_FILES or sum(m.file_size for m in members) > _MAX_BYTES:
                raise WheelError(f"{wheel.name} holds over {_MAX_FILES} files or {_MAX_BYTES >> 20} MiB")
            for member in members:
                place = _place(wheel.name, member.filename)
                if place is None:
                    continue
                data = archive.read(member)
                expected = hashes.get(member.filename)
                if expected is None and not _unlisted(member.filename):
                    raise WheelError(f"{wheel.name} is damaged: {member.filename} is not in its RECORD")
                if expected is not None and _digest(data) != expected:
                    raise WheelError(f"{wheel.name} is damaged: {member.filename} is not what its RECORD says")
                target = folder / place
                if target.exists():
                    raise WheelError(f"{wheel.name} brings {place}, and so does another wheel")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
        raise WheelError(f"{wheel.name} cannot be unpacked: {error}") from error


def problems(folder: Path, own: Path) -> Iterator[str]:
    """Why the unpacked wheels in `folder` would not work beside what is installed, one sentence each.

    Args:
        folder: Where they were unpacked.
        own: What lies below this is not taken as installed: the result of an earlier call.
    """
    for entry in sorted({path.name.partition(".")[0] for path in folder.iterdir() if path.suffix != ".dist-info"}):
        if entry in sys.stdlib_module_names or _installed(entry, own):
            yield f"the wheels bring {entry!r}, which is there already and would be hidden: leave its wheel out"
    here = {_plain(d.name) for d in importlib.metadata.distributions(path=[str(folder)])}
    known = here | {_plain(d.name) for d in importlib.metadata.distributions()}
    for distribution in importlib.metadata.distributions(path=[str(folder)]):
        for requirement in distribution.requires or ():
            # One with a marker may not be meant for here.
            name = re.match(r"[A-Za-z0-9][\w.-]*", requirement)
            if name and ";" not in requirement and _plain(name[0]) not in known:
                yield f"{distribution.name} needs {requirement}, which is neither installed nor among the wheels"


def _installed(module: str, own: Path) -> bool:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None and not Path(spec.origin).is_relative_to(own)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _place(wheel: str, name: str) -> PurePosixPath | None:
    """Where a file goes, None for one that is not imported."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise WheelError(f"{wheel} is dangerous: it would write {name!r}")
    if path.parts[0].endswith(".data"):
        return PurePosixPath(*path.parts[2:]) if path.parts[1:2] and path.parts[1] in _IMPORTABLE else None
    return path


def _record(wheel: str, archive: zipfile.ZipFile) -> dict[str, str]:
    """Hashes of the files, `algorithm=digest`."""
    records = [n for n in archive.namelist() if n.count("/") == 1 and n.endswith(".dist-info/RECORD")]
    if len(records) != 1:
        raise WheelError(f"{wheel} is no wheel: it has no RECORD")
    try:
        rows = list(csv.reader(io.StringIO(archive.read(records[0]).decode())))
    except (UnicodeDecodeError, csv.Error) as error:
        raise WheelError(f"{wheel} is damaged: its RECORD cannot be read") from error
    return {row[0]: row[1] for row in rows if len(row) >= 2 and row[1]}


def _unlisted(name: str) -> bool:
    """RECORD cannot hold its own hash, nor those of its signatures."""
    return name.endswith((".dist-info/RECORD", ".dist-info/RECORD.jws", ".dist-info/RECORD.p7s"))


def _digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
