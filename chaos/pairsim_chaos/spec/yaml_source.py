"""The text and the documents of experiment files, read with limits that suit them.

`pairsim.model.documents.yaml` reads the YAML; a finding can name the line of every field.
"""

from __future__ import annotations

from pathlib import Path

from pairsim.model.documents.yaml import YamlDocument, YamlError, YamlLimits, parse_yaml

MAX_BYTES = 512 * 2**10
"""The size of a file. An object of Kubernetes cannot be much larger."""

LIMITS = YamlLimits(characters=MAX_BYTES, documents=500, values=50_000)


def read(path: Path) -> str:
    """Returns the text of a file.

    Raises:
        YamlError: The file cannot be read, is too large, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise YamlError(f"the file has over {MAX_BYTES >> 10} KiB: split it")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise YamlError(f"the file cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise YamlError(f"the file is not UTF-8 text (byte {error.start}): save it as UTF-8") from error


def parse(text: str) -> tuple[YamlDocument, ...]:
    """Returns the documents of an experiment file; empty ones are left out.

    Raises:
        YamlError: The text is not valid YAML, or exceeds a limit.
    """
    return parse_yaml(text, LIMITS)
