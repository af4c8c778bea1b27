"""Experiment files: the lines of fields, and files with hostile content."""

from __future__ import annotations

import pytest

from pairsim.model.documents.yaml import YamlError
from pairsim_chaos.spec.yaml_source import LIMITS, parse


def test_fields_know_their_lines() -> None:
    one, two = parse("a: 1\nb:\n  - c: x\n    d: z\n---\n\ne: {f: [g,\n h]}\n")
    assert one.value == {"a": 1, "b": [{"c": "x", "d": "z"}]}
    assert [one.line_of(path) for path in (("a",), ("b", 0), ("b", 0, "d"), ("b", 0, "none"))] == [1, 3, 4, 3]
    assert two.value == {"e": {"f": ["g", "h"]}}
    assert (two.line, two.line_of(("e", "f", 1)), two.line_of(("none",))) == (7, 8, 7)


def test_values_are_converted_as_for_json() -> None:
    text = "[null, ~, true, no, 3, 0x10, 1.5, '3', 2026-01-01, 1:30, 'x']"
    (document,) = parse(text)
    assert document.value == [None, None, True, False, 3, 16, 1.5, "3", "2026-01-01", "1:30", "x"]


def test_a_bare_y_or_n_is_a_boolean_as_for_kubectl() -> None:
    (document,) = parse("[y, N, yes, Off, 'y', \"n\", !!str y, ny, y: n]")
    assert document.value == [True, False, True, False, "y", "n", "y", "ny", {"y": False}]


def test_merged_mappings_add_fields_without_overriding() -> None:
    (document,) = parse("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\nc: {<<: [{x: 4}, *a]}\n")
    assert document.value == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 4, "y": 2}}
    assert document.line_of(("b", "y")) == 4


def test_the_first_of_duplicate_keys_is_used_and_the_second_is_reported() -> None:
    (document,) = parse("a: 1\nb: 2\na: 3\n")
    assert document.value == {"a": 1, "b": 2}
    assert document.duplicates == ((("a",), 3),)


def test_documents_without_content_are_left_out() -> None:
    assert [document.value for document in parse("---\n# nothing\n---\na: b\n---\n")] == [{"a": "b"}]
    assert parse("") == ()


NESTED_ALIASES = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 8)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (NESTED_ALIASES, "values or 2 MiB, aliases counted"),
        ("a: &a '" + "x" * 100_000 + "'\nb: [" + "*a, " * 100 + "]\n", "2 MiB, aliases counted"),
        ("a: &a [*a]", f"nested over {LIMITS.depth} levels deep"),
        ("a: &a {<<: *a}", "nested too deeply"),
        ("[" * 20_000, "nested too deeply"),
        ("- " * 20_000, "nested too deeply"),
        ("a\n---\n" * 600, "over 500 documents"),
        ("a" * 600_000, "over 512 KiB"),
        ("[a, b", "not valid YAML"),
        ("\0", "not valid YAML"),
        (r'a: "\U00110000"', "the number of an escape or a directive is too large"),
        (r'a: "\UFFFFFFFF"', "the number of an escape or a directive is too large"),
        ("%YAML 1." + "1" * 5_000 + "\n---\na: 1\n", "the number of an escape or a directive is too large"),
        ("{[a]: b}", "a key is a list or a mapping"),
        ("<<: 3", "merges mappings"),
        ("!!python/object/apply:os.system [ls]", "the tag"),
        ("a: !!binary aGk=", "the tag"),
        ("a: !mine {b: c}", "the tag"),
    ],
)
def test_an_unreadable_text_raises_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(YamlError, match=sentence) as caught:
        parse(text)
    assert "\n" not in str(caught.value)
