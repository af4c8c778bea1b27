"""The golden files: what the contract was when somebody last said that it may be so."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"
_SHOWN = 60


def text_of(found: object) -> str:
    """The text of a golden file; keys are sorted, since their order is no contract, and each has its own line."""
    return json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def write(name: str, found: object) -> bool:
    """Writes a golden file, and says whether it changed."""
    path, text = FOLDER / f"{name}.json", text_of(found)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.write_text(text, encoding="utf-8")
    return True


def read(name: str) -> object:
    """Reads a golden file."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def difference(name: str, found: object) -> str:
    """Returns an empty text if the golden file says the same, else one sentence that tells what to do, and a diff."""
    path, text = FOLDER / f"{name}.json", text_of(found)
    pinned = path.read_text(encoding="utf-8") if path.exists() else ""
    if pinned == text:
        return ""
    lines = list(difflib.unified_diff(pinned.splitlines(), text.splitlines(), "pinned", "found", "", "", 2, ""))
    more = [f"... and {len(lines) - _SHOWN} more lines"] if len(lines) > _SHOWN else []
    advice = (
        f"The public contract in tests/contract/golden/{path.name} changed: take the change back, or, if it is wanted,"
        " run `python -m tests.contract.write` and say in the commit what users have to do."
    )
    return "\n".join([advice, *lines[:_SHOWN], *more])
