"""Applies all rules to an experiment file and returns all findings at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from pairsim.model.documents.yaml import YamlDocument
from pairsim_chaos.lint import ineffective, ineffective_flow, selectors, structure, webhook, webhook_flow
from pairsim_chaos.lint.rule import Problem
from pairsim_chaos.spec.embedded_specs import embedded_specs
from pairsim_chaos.spec.field_path import Field, format_path
from pairsim_chaos.spec.listed_objects import listed_objects
from pairsim_chaos.spec.yaml_source import RENDER_FIRST, is_template, parse

RULES = (
    *structure.RULES,
    *webhook.RULES,
    *webhook_flow.RULES,
    *selectors.RULES,
    *ineffective.RULES,
    *ineffective_flow.RULES,
)


MAX_FINDINGS = 1000
"""The most findings that are returned for a file; a user would not read more."""


class Finding(NamedTuple):
    """A problem in a file.

    Attributes:
        line: The line in the file, counted from 1.
        field: The field as users write it: `spec.target.mode`.
        wrong: The problem with the field, as a clause.
        suggestion: What the user should write instead.
        rule: The name of the rule.
    """

    line: int
    field: str
    wrong: str
    suggestion: str
    rule: str


def lint(text: str) -> tuple[Finding, ...]:
    """Returns the findings for a file's text in the order of lines; an empty tuple for a correct file.

    Raises:
        YamlError: The text is not YAML.
    """
    return lint_documents(parse(text))


def lint_documents(documents: tuple[YamlDocument, ...]) -> tuple[Finding, ...]:
    """Returns the findings for the documents of a file in the order of lines."""
    if not documents:
        return (Finding(1, "(document)", "the file has no experiment", "write one", structure.KIND),)
    every = itertools.chain(_same_names(documents), *map(_of_document, documents))
    found = sorted(set(itertools.islice(every, MAX_FINDINGS)))
    if next(every, None) is not None:
        last = max(finding.line for finding in found)
        found.append(Finding(last, "(file)", "there are more findings than these", "fix these first", structure.KIND))
    return tuple(found)


def _of_document(document: YamlDocument) -> Iterator[Finding]:
    for path, line in document.duplicates:
        yield Finding(line, format_path(path), "the field is written twice", "remove one of them", "twice")
    for found in listed_objects(document):
        yield from _of_object(document, found)


def _of_object(document: YamlDocument, root: Field) -> Iterator[Finding]:
    wrong_kind = structure.kind_problem(root)
    if wrong_kind:
        yield _finding(document, wrong_kind, structure.KIND)
        return
    for problem in structure.schema_problems(root):
        yield _finding(document, problem, structure.SCHEMA)
    for found in embedded_specs(root):
        for rule in RULES:
            if found.kind in rule.kinds:
                yield from (_finding(document, problem, rule.name) for problem in rule.check(found))


def _finding(document: YamlDocument, problem: Problem, rule: str) -> Finding:
    path = problem.field.path
    suggestion = RENDER_FIRST if is_template(problem.field.text) else problem.suggestion
    return Finding(document.line_of(path), format_path(path), problem.wrong, suggestion, rule)


def _same_names(documents: tuple[YamlDocument, ...]) -> Iterator[Finding]:
    """Yields objects that repeat a name: the second would change the first, which the webhook refuses."""
    seen: set[tuple[str, ...]] = set()
    for document, root in ((each, found) for each in documents for found in listed_objects(each)):
        name = root.at("metadata", "name")
        key = (root.at("kind").text, root.at("metadata", "namespace").text, name.text)
        if name.text and key in seen:
            wrong = "another experiment of the file has the same name"
            yield _finding(document, Problem(name, wrong, "write another name"), "name")
        seen.add(key)
