"""Unpacks wheels without an installer: the image has none, and the pods of a pool must not run one.

A wheel is an archive with a list of its files and their hashes (PyPA's binary distribution format). Only files that can
be imported are unpacked; scripts, headers and data files are left out.
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
import stat
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
    """The error for a wheel that cannot be used."""


def check_name(filename: str) -> None:
    """Checks that a wheel of that name runs on this interpreter and machine.

    Raises:
        WheelError: The wheel is for another interpreter or machine, or the name is not that of a wheel.
    """
    match = _NAME.fullmatch(filename)
    if match is None:
        raise WheelError(f"{filename!r} is not the name of a wheel: write NAME-VERSION-PYTHON-ABI-PLATFORM.whl")
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
    """Unpacks the importable files of a wheel into a folder that may hold files of other wheels.

    Raises:
        WheelError: The archive is damaged or dangerous, or a file exists already.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            hashes = _recorded_hashes(wheel.name, archive)
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) > _MAX_FILES or sum(m.file_size for m in members) > _MAX_BYTES:
                raise WheelError(f"{wheel.name} holds over {_MAX_FILES} files or {_MAX_BYTES >> 20} MiB")
            for member in members:
                place = _target_path(wheel.name, member.filename)
                if place is None:
                    continue
                data = archive.read(member)
                expected = hashes.get(member.filename)
                if expected is None and not _may_be_unlisted(member.filename):
                    raise WheelError(f"{wheel.name} is damaged: {member.filename} is not in its RECORD")
                if expected is not None and _digest(data) != expected:
                    raise WheelError(f"{wheel.name} is damaged: {member.filename} is not what its RECORD says")
                target = folder / place
                if target.exists():
                    raise WheelError(f"{wheel.name} brings {place}, and so does another wheel")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
                if _is_executable(member):
                    target.chmod(0o755)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
        raise WheelError(f"{wheel.name} cannot be unpacked: {error}") from error


def find_problems(folder: Path, own: Path) -> Iterator[str]:
    """Yields a sentence for each reason why the unpacked wheels would not work beside the installed packages.

    Args:
        folder: The folder that the wheels were unpacked to.
        own: The target of the installation. Modules below it do not count as installed: an earlier call put them there.
    """
    for entry in sorted({path.name.partition(".")[0] for path in folder.iterdir() if path.suffix != ".dist-info"}):
        if entry in sys.stdlib_module_names or _installed(entry, own):
            yield f"the wheels bring {entry!r}, which is there already and would be hidden: leave its wheel out"
    here = {_normalized(d.name) for d in importlib.metadata.distributions(path=[str(folder)])}
    known = here | {_normalized(d.name) for d in importlib.metadata.distributions()}
    for distribution in importlib.metadata.distributions(path=[str(folder)]):
        for requirement in distribution.requires or ():
            # A requirement with a marker may not apply to this environment.
            name = re.match(r"[A-Za-z0-9][\w.-]*", requirement)
            if name and ";" not in requirement and _normalized(name[0]) not in known:
                yield f"{distribution.name} needs {requirement}, which is neither installed nor among the wheels"


def _installed(module: str, own: Path) -> bool:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None and not Path(spec.origin).is_relative_to(own)


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _target_path(wheel: str, name: str) -> PurePosixPath | None:
    """Returns the path of a file below the target; None for a file that is not importable."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise WheelError(f"{wheel} is dangerous: it would write {name!r}")
    if path.parts[0].endswith(".data"):
        return PurePosixPath(*path.parts[2:]) if path.parts[1:2] and path.parts[1] in _IMPORTABLE else None
    return path


def _is_executable(member: zipfile.ZipInfo) -> bool:
    """Returns whether a file is a program; archives keep a file's mode as Unix has it in the upper half."""
    mode = member.external_attr >> 16
    return stat.S_ISREG(mode) and bool(mode & 0o111)


def _recorded_hashes(wheel: str, archive: zipfile.ZipFile) -> dict[str, str]:
    """Returns the hashes of the files by name, as `algorithm=digest`."""
    records = [n for n in archive.namelist() if n.count("/") == 1 and n.endswith(".dist-info/RECORD")]
    if len(records) != 1:
        raise WheelError(f"{wheel} is not a wheel: it has no RECORD")
    try:
        rows = list(csv.reader(io.StringIO(archive.read(records[0]).decode())))
    except (UnicodeDecodeError, csv.Error) as error:
        raise WheelError(f"{wheel} is damaged: its RECORD cannot be read") from error
    return {row[0]: row[1] for row in rows if len(row) >= 2 and row[1]}


def _may_be_unlisted(name: str) -> bool:
    """Returns whether a file may lack a hash: RECORD cannot hold its own hash, nor those of its signatures."""
    return name.endswith((".dist-info/RECORD", ".dist-info/RECORD.jws", ".dist-info/RECORD.p7s"))


def _digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
