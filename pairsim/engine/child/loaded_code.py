"""The code that a simulator consists of, by which nodes know whether their engines compute the same.

It has three parts. The *author's modules* are those of the class and its bases, all that lie in a folder without
installed distributions, such as `kernels.py` beside `growth.py`, and the loaded ones of the class's own package; they
count with their contents. The *distributions* that these modules import, such as numpy and numba, count with name and
version, and so does the one of the class. Python's own modules and those of pairsim outside of `pairsim.simulators` do
not count: their releases compute the same.

Everything is found by the names of modules, so that it is the same on machines with other folders. What else a process
has loaded, such as a warm engine before it had a simulator, does not matter.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from pairsim.engine.fingerprint import fingerprint

_IMPORTS = re.compile(rb"^[ \t]*(?:from[ \t]+([A-Za-z_]\w*)|import[ \t]+([A-Za-z_][\w., \t]*))", re.MULTILINE)
"""Absolute imports on lines of their own; one in a text names a distribution that need not be there."""

_PAIRSIM, _OWN_SIMULATORS = "pairsim", "pairsim.simulators."
_ALWAYS = "numpy"
"""Every table consists of its arrays."""


class LoadedCode:
    """The code of one simulator, from when its class is loaded; `prepare` and the trial ticks may load more of it."""

    def __init__(self, kind: type) -> None:
        """Reads the modules that are loaded now, before their files can be edited while the simulator compiles."""
        self._kind = kind
        self._top = kind.__module__.partition(".")[0]
        self._folders = _Folders()
        self._authors: dict[str, bool] = {}
        self._contents: dict[str, bytes] = {}
        self._read()

    def fingerprint(self) -> str:
        """Returns 32 hex digits for the code that is loaded by now; empty for a class without files."""
        self._read()
        if not self._contents:
            return ""
        parts = {f"module {name}": content for name, content in self._contents.items()}
        for top in {_ALWAYS, self._top, *_imported(self._contents.values())} - {_PAIRSIM}:
            name, version = self._folders.distribution(top)
            if name:
                parts[f"distribution {name}"] = version.encode()
        return fingerprint(parts)

    def _read(self) -> None:
        of_class = {base.__module__ for base in self._kind.__mro__}
        for name, module in list(sys.modules.items()):
            if name in self._contents or not (name in of_class or self._is_authors(name, module)):
                continue
            if file := _file(module):
                self._contents[name] = _content(file)

    def _is_authors(self, name: str, module: object) -> bool:
        top = name.partition(".")[0]
        if top == _PAIRSIM:
            return self._top == _PAIRSIM and name.startswith(_OWN_SIMULATORS)
        if top not in self._authors and (file := _file(module)):
            only_authors = self._folders.has_only_authors_code(_folder(name, file))
            self._authors[top] = top == self._top or (only_authors and top != "__main__")
        return self._authors.get(top, False)


class _Folders:
    """The folders of the module search path: Python's own, those with installed distributions, and the author's."""

    def __init__(self) -> None:
        self._python = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
        self._searched = {str(Path(folder).absolute()) for folder in sys.path}
        self._installed: dict[str, list[tuple[str, str, Path]]] = {}

    def has_only_authors_code(self, folder: str) -> bool:
        """Returns whether a folder of the search path is neither Python's own nor one with installed distributions."""
        return folder in self._searched and not self._is_pythons(folder) and not self._distributions(folder)

    def distribution(self, top: str) -> tuple[str, str]:
        """Returns name and version of the distribution with a module or package of this name; empty without one."""
        file = _file(sys.modules.get(top)) or _find(top)
        if not file:
            return "", ""
        found = self._distributions(_folder(top, file))
        wanted = _normalised(top)
        for name, version, _ in found:
            if name == wanted:
                return name, version
        for name, version, metadata in found:
            if top in _content(str(metadata / "top_level.txt")).decode(errors="replace").split():
                return name, version
        listed = f"{top}/", f"{Path(file).name},"
        for name, version, metadata in found:
            record = _content(str(metadata / "RECORD")).decode(errors="replace")
            if any(line.startswith(listed) for line in record.splitlines()):
                return name, version
        return "", ""

    def _is_pythons(self, folder: str) -> bool:
        return any(own and folder in {own, f"{own}/lib-dynload"} for own in self._python)

    def _distributions(self, folder: str) -> list[tuple[str, str, Path]]:
        if folder not in self._installed:
            self._installed[folder] = sorted(_installed_in(Path(folder)))
        return self._installed[folder]


def _installed_in(folder: Path) -> Iterable[tuple[str, str, Path]]:
    """Yields name, version and metadata folder of the distributions that are installed in a folder."""
    try:
        entries = [entry for entry in folder.iterdir() if entry.suffix in {".dist-info", ".egg-info"}]
    except OSError:
        return
    for entry in entries:
        name, _, version = entry.stem.partition("-")
        yield _normalised(name), version, entry


def _file(module: object) -> str:
    """Returns the file of a module that was loaded; empty without one, and for other objects in `sys.modules`."""
    file = vars(module).get("__file__") if isinstance(module, ModuleType) else None
    return file if isinstance(file, str) else ""


def _folder(name: str, file: str) -> str:
    """Returns the folder in which the search for a module began."""
    path = Path(file).absolute()
    levels = name.count(".") + (path.stem == "__init__")
    return str(path.parents[levels]) if levels < len(path.parents) else ""


def _find(top: str) -> str:
    """Returns the file of a top-level module that is not loaded; empty if Python does not find it."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return ""
    return (spec.origin if spec is not None and spec.has_location else None) or ""


def _imported(contents: Iterable[bytes]) -> set[str]:
    """Returns the names of the top-level modules that sources import."""
    found: set[str] = set()
    for content in contents:
        for origin, names in _IMPORTS.findall(content):
            for name in (origin or names).decode().split(","):
                found.add(name.strip().partition(" ")[0].partition(".")[0])
    return found - {""} - sys.stdlib_module_names


def _normalised(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def _content(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError:
        return b""
