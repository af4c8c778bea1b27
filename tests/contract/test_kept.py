"""What older versions wrote is read: the bytes come from the golden files, not from the code of today."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.contract import golden, product_bytes
from tests.contract.documents import readable
from tests.contract.files import KEPT

FILES: Any = golden.read("files")
WIRE: Any = golden.read("wire")


@pytest.mark.parametrize("name", FILES["journal"])
def test_a_journal_is_read(name: str) -> None:
    kept = FILES["journal"][name]
    assert readable(product_bytes.journal_read(bytes.fromhex(kept["hex"]))) == kept["reads as"]


def test_a_checkpoint_is_read(tmp_path: Path) -> None:
    (tmp_path / FILES["checkpoint"]["name"]).write_bytes(bytes.fromhex(KEPT.read_text(encoding="ascii")))
    assert readable(product_bytes.checkpoint_read(tmp_path)) == FILES["checkpoint"]["reads as"]


def test_a_checkpoint_of_an_earlier_format_is_refused_with_a_sentence() -> None:
    data = bytes.fromhex((golden.FOLDER / "checkpoint_format_1.hex").read_text(encoding="ascii"))
    assert product_bytes.checkpoint_refusal(data) == "it has format 1, and this version of pairsim has format 2"


def test_a_snapshot_of_the_log_is_read() -> None:
    kept = FILES["snapshot of the log"]
    assert list(product_bytes.log_read(bytes.fromhex(kept["hex"]))) == kept["reads as"]


def test_a_line_of_a_backup_is_read() -> None:
    assert product_bytes.restored(FILES["backup"][0].encode()) is not None


@pytest.mark.parametrize("name", WIRE["raft"])
def test_a_message_is_read(name: str) -> None:
    kept = WIRE["raft"][name]
    assert readable(product_bytes.message_read(bytes.fromhex(kept["hex"]))) == kept["reads as"]


@pytest.mark.parametrize("name", WIRE["records"])
def test_a_record_is_read(name: str) -> None:
    kept = WIRE["records"][name]
    assert readable(product_bytes.record_read(bytes.fromhex(kept["hex"]))) == kept["reads as"]
