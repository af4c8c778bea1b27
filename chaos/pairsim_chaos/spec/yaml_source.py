"""The text and the documents of experiment files, read with limits that suit them.

`pairsim.model.documents.yaml` reads the YAML; a finding can name the line of every field.
"""

from __future__ import annotations

import re
from pathlib import Path

from pairsim.model.documents.yaml import YamlDocument, YamlError, YamlLimits, parse_yaml

MAX_BYTES = 512 * 2**10
"""The size of a file. An object of Kubernetes cannot be much larger."""

RENDER_FIRST = "render the template first (helm template CHART), and use the result"
"""What to do with a file that is a template of Helm, or with a value of such a file."""
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}", re.DOTALL)

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
    try:
        return parse_yaml(text, LIMITS)
    except YamlError as error:
        found = _PLACEHOLDER.search(text)
        if found is None or not error.line:  # a limit concerns the whole file
            raise
        line = text.count("\n", 0, found.start()) + 1
        raise YamlError(f"the file is a template and not yet YAML: {RENDER_FIRST}", line) from error


def is_template(text: str) -> bool:
    """Returns whether a text has a placeholder `{{ ... }}` that a template engine replaces."""
    return _PLACEHOLDER.search(text) is not None
