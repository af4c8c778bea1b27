"""The text of a trace: a few sentences of prose, then blocks of commands, each with the output that the commands give.

    # What the story shows, and the invariant that it is about.

    kill a
    run 1s
    ----
       2.000s  -- kill a
       2.001s  b       lost the link to a

A line of dashes ends the commands of a block, and a blank line ends its output.
"""

from __future__ import annotations

from dataclasses import dataclass

SEPARATOR = "----"


@dataclass(frozen=True)
class Block:
    """Commands and their output, line by line."""

    commands: tuple[str, ...]
    output: tuple[str, ...] = ()


@dataclass(frozen=True)
class Script:
    """A trace: the lines of its prose, and its blocks."""

    prose: tuple[str, ...]
    blocks: tuple[Block, ...]


def parse(text: str) -> Script:
    """Returns the script that a text holds.

    Raises:
        ValueError: A block has commands and not the line that ends them.
    """
    prose: list[str] = []
    blocks: list[Block] = []
    for paragraph in text.strip().split("\n\n"):
        lines = paragraph.splitlines()
        if lines[0].startswith("#"):
            prose += lines
        elif SEPARATOR in lines:
            end = lines.index(SEPARATOR)
            blocks.append(Block(tuple(lines[:end]), tuple(lines[end + 1 :])))
        else:
            raise ValueError(f"a block needs a line {SEPARATOR!r} after its commands: {paragraph!r}")
    return Script(tuple(prose), tuple(blocks))


def render(script: Script) -> str:
    """Returns the text of a script, which `parse` reads."""
    paragraphs = ["\n".join(script.prose)]
    paragraphs += ["\n".join([*block.commands, SEPARATOR, *block.output]) for block in script.blocks]
    return "\n\n".join(paragraphs) + "\n"
