"""The fingerprint of the code of a simulator, by which nodes know whether their engines run the same code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import xxhash


def fingerprint(parts: Mapping[str, bytes]) -> str:
    """Returns 32 hex digits for named parts of code, in any order."""
    digest = xxhash.xxh3_128()
    for name, content in sorted(parts.items()):
        for part in (name.encode(errors="replace"), content):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
    return digest.hexdigest()


def files_fingerprint(files: Iterable[str | Path]) -> str:
    """Returns the fingerprint for the names and contents of files; their folders may differ from machine to machine.

    A file that cannot be read counts as empty. Without files the fingerprint is empty: the code is unknown.
    """
    contents = sorted((Path(file).name, _content(Path(file))) for file in files)
    if not contents:
        return ""
    return fingerprint({f"{number} {name}": content for number, (name, content) in enumerate(contents)})


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
