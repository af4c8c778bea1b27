"""The prose of the product is plain English. CONTRIBUTING.md lists the rules; this test holds the countable ones."""

from __future__ import annotations

import re

import pytest

from tests.unit.project.sources import (
    PRODUCT,
    ROOT,
    Text,
    files,
    modules,
    texts_of_configuration,
    texts_of_document,
    texts_of_module,
)

RULES = {
    r"\b(is|are|was|were) (no(?! longer| more than| later than| earlier than| less than)|none)\b": (
        "say what is so: 'invalid name X', 'no leader is known'"
    ),
    r"\btold\b": "name who reports what to whom: 'reports', 'receives', 'is configured with'",
    r"\bwhoever\b": "name the subject: 'the replica that takes over'",
    r"\bsomebody\b": "name the subject: 'another thread'",
    r"\bwhat is\b(?! wrong)": "name the thing: 'the state', 'the oldest entry'",
    r"(^|[.:;] )One (that|which|who)\b": "name the subject: 'A member that ...'",
    r"\bof whom\b": "name the subject",
    r"\bgives? way\b": "say what happens: 'has a lower priority', 'is closed for a new one'",
    r"\bfor ever\b": "write 'forever', or say until when",
}
"""Patterns, and what to write instead."""

DOCSTRING_RULES = {
    r"^See\b": "a docstring stands alone: say in a few words what the function does",
}

EXCEPTIONS = {
    "succession": "nothing was heard of it",
}
"""Texts of the public contract that contain a forbidden word: the reason, and the text."""


def problems(text: Text) -> list[str]:
    """Returns the sentences that say what is wrong with a text."""
    if text.text in EXCEPTIONS.values():
        return []
    rules = RULES | (DOCSTRING_RULES if text.kind == "docstring" else {})
    flat = " ".join(text.text.split())
    return [
        f"{text.place}: {text.kind} has {found.group()!r}: {advice}"
        for pattern, advice in rules.items()
        if (found := re.search(pattern, flat, re.IGNORECASE if pattern[0] == "\\" else 0))
    ]


def test_modules_are_written_in_plain_english() -> None:
    wrong = [line for path in modules(*PRODUCT) for text in texts_of_module(path) for line in problems(text)]
    assert not wrong, f"{len(wrong)} texts need other words:\n" + "\n".join(wrong)


def test_documents_are_written_in_plain_english() -> None:
    documents = [path for path in files(".md") if path.relative_to(ROOT).parts[0] != ".github"]
    wrong = [line for path in documents for text in texts_of_document(path) for line in problems(text)]
    assert not wrong, f"{len(wrong)} texts need other words:\n" + "\n".join(wrong)


def test_configuration_is_written_in_plain_english() -> None:
    configuration = [*files(".yaml", ".yml", ".toml"), ROOT / "Makefile", ROOT / "Dockerfile"]
    wrong = [line for path in configuration for text in texts_of_configuration(path) for line in problems(text)]
    assert not wrong, f"{len(wrong)} texts need other words:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    "sentence",
    [
        "It is no name.",
        "The peer is told.",
        "Whoever leads.",
        "Somebody else waits.",
        "Shows what is new.",
        "One that left.",
    ],
)
def test_the_rules_find_what_they_forbid(sentence: str) -> None:
    assert problems(Text("here:1", "docstring", sentence))


def test_a_docstring_does_not_point_elsewhere() -> None:
    assert problems(Text("here:1", "docstring", "See `Transport`."))
    assert not problems(Text("here:1", "comment", "See RFC 7539."))
