"""The texts of the product: docstrings, comments and sentences of its modules, and its documents."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]
PRODUCT = ("pairsim", "controller", "chaos", "grafana", "examples")
_MINIMUM_WORDS = 3


class Text(NamedTuple):
    """A piece of prose, and where it stands."""

    place: str
    kind: str
    text: str


def files(*suffixes: str) -> list[Path]:
    """Returns the files of the project with one of these suffixes, as git knows them."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in sorted(set(listed)) if name.endswith(suffixes) and (ROOT / name).exists()]


def modules(*folders: str) -> list[Path]:
    """Returns the Python modules under these top-level folders."""
    return [path for path in files(".py") if path.relative_to(ROOT).parts[0] in folders]


def texts_of_module(path: Path) -> Iterator[Text]:
    """Yields docstrings, comments and other strings of at least three words."""
    source = path.read_text()
    name = str(path.relative_to(ROOT))
    tree = ast.parse(source)
    docstrings = set()
    for node in ast.walk(tree):
        first = node.body[0] if hasattr(node, "body") and isinstance(node.body, list) and node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            docstrings.add(id(first.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            is_docstring = id(node) in docstrings
            if is_docstring or len(node.value.split()) >= _MINIMUM_WORDS:
                yield Text(f"{name}:{node.lineno}", "docstring" if is_docstring else "string", node.value)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Text(f"{name}:{token.start[0]}", "comment", token.string.lstrip("# "))


def texts_of_document(path: Path) -> Iterator[Text]:
    """Yields the lines of a Markdown document without its code and its quotations."""
    fence = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            fence = not fence
        elif not fence:
            yield Text(f"{path.relative_to(ROOT)}:{number}", "document", re.sub(r"`[^`]*`|\"[^\"]*\"", "`code`", line))


def texts_of_configuration(path: Path) -> Iterator[Text]:
    """Yields the comments and descriptions of a YAML, TOML or shell file."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = re.search(r"(?:^|\s)#\s+(.*)$|(?:description|summary|message): *(.*)$", line)
        if found:
            text = re.sub(r"`[^`]*`", "`code`", found.group(1) or found.group(2))
            yield Text(f"{path.relative_to(ROOT)}:{number}", "comment", text)
