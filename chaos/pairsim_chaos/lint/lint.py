"""Everything that is wrong with an experiment file, told at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from pairsim.model.documents.yaml import YamlDocument
from pairsim_chaos.lint import ineffective, ineffective_flow, selectors, structure, webhook, webhook_flow
from pairsim_chaos.spec.embedded_specs import bodies
from pairsim_chaos.spec.field_path import Field, Slip, written
from pairsim_chaos.spec.yaml_source import parse

RULES = (
    *structure.RULES,
    *webhook.RULES,
    *webhook_flow.RULES,
    *selectors.RULES,
    *ineffective.RULES,
    *ineffective_flow.RULES,
)


MAX_FINDINGS = 1000
"""Of a file; nobody reads more."""


class Finding(NamedTuple):
    """One thing that is wrong.

    Attributes:
        line: In the file, from 1.
        field: As a user knows it: `spec.target.mode`.
        wrong: What is wrong with it.
        instead: What to write instead.
        rule: The rule's name.
    """

    line: int
    field: str
    wrong: str
    instead: str
    rule: str


def lint(text: str) -> tuple[Finding, ...]:
    """What is wrong with a file's text, in the order of its lines; none if it is good.

    Raises:
        YamlError: It is no YAML.
    """
    return lint_documents(parse(text))


def lint_documents(documents: tuple[YamlDocument, ...]) -> tuple[Finding, ...]:
    """What is wrong with documents, in the order of their lines."""
    if not documents:
        return (Finding(1, "(document)", "there is no experiment in it", "write one", structure.KIND),)
    every = itertools.chain(_same_names(documents), *map(_of_document, documents))
    found = sorted(set(itertools.islice(every, MAX_FINDINGS)))
    if next(every, None) is not None:
        last = max(finding.line for finding in found)
        found.append(Finding(last, "(file)", "there are more findings than these", "mend these first", structure.KIND))
    return tuple(found)


def _of_document(document: YamlDocument) -> Iterator[Finding]:
    whole = Field((), document.value)
    for place, line in document.duplicates:
        yield Finding(line, written(place), "it is there twice", "leave one of them out", "twice")
    wrong_kind = structure.kind_problem(whole)
    if wrong_kind:
        yield _finding(document, wrong_kind, structure.KIND)
        return
    for slip in structure.structure(whole):
        yield _finding(document, slip, structure.STRUCTURE)
    for body in bodies(whole):
        for rule in RULES:
            if body.kind in rule.kinds:
                yield from (_finding(document, slip, rule.name) for slip in rule.check(body))


def _finding(document: YamlDocument, slip: Slip, rule: str) -> Finding:
    place = slip.field.place
    return Finding(document.line_of(place), written(place), slip.wrong, slip.instead, rule)


def _same_names(documents: tuple[YamlDocument, ...]) -> Iterator[Finding]:
    """Of two documents with one name the second would change the first, which the webhook refuses."""
    seen: set[tuple[str, ...]] = set()
    for document in documents:
        whole = Field((), document.value)
        name = whole.at("metadata", "name")
        key = (whole.at("kind").text, whole.at("metadata", "namespace").text, name.text)
        if name.text and key in seen:
            yield _finding(document, Slip(name, "another document of the file has this name", "write another"), "name")
        seen.add(key)
