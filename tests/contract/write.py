"""Writes the golden files anew: `python -m tests.contract.write`, optionally with the names of some of them."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.contract import golden
from tests.contract.files import keep_checkpoint
from tests.contract.goldens import GOLDENS


def main(names: list[str]) -> None:
    """Writes the files of these names, or all of them; a checkpoint that is there is kept as it is."""
    with tempfile.TemporaryDirectory() as folder:
        keep_checkpoint(Path(folder))
    for name in names or GOLDENS:
        with tempfile.TemporaryDirectory() as folder:
            changed = golden.write(name, GOLDENS[name](Path(folder)))
        sys.stdout.write(f"{name}: {'written' if changed else 'as it was'}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
