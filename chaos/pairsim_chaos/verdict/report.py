"""Formats verdicts as a table for people, as JSON for programs, and as JUnit XML for CI."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

import msgspec
from rich.table import Table

from pairsim.wording import counted
from pairsim_chaos.verdict.checks import REDUNDANT, Outcome, Verdict


def table(verdicts: Sequence[Verdict]) -> Table:
    """Returns a table with one row for each experiment."""
    rows = Table(title=summary(verdicts), title_justify="left")
    rows.add_column("experiment", no_wrap=True)
    rows.add_column("verdict", no_wrap=True)
    for name in ("acknowledged", "lost", "available", "longest pause", "takeovers", "redundant after"):
        rows.add_column(name, justify="right")
    for verdict in verdicts:
        rows.add_row(verdict.experiment, *_cells(verdict))
    return rows


def explanations(verdicts: Sequence[Verdict]) -> list[str]:
    """Returns a sentence for each refusal, failure, note, and reason of an invariant that did not hold."""
    sentences = []
    for verdict in verdicts:
        if verdict.refused:
            sentences.append(f"{verdict.experiment}: {in_short(verdict)}")
        if verdict.failed:
            sentences.append(f"{verdict.experiment}: {verdict.outcome.value}: {verdict.failed}")
        for check in verdict.checks:
            sentences += [f"{verdict.experiment}: NOT HELD: {check.name}: {reason}" for reason in check.reasons]
        sentences += [f"{verdict.experiment}: {note}" for note in verdict.notes]
    return sentences


def summary(verdicts: Sequence[Verdict]) -> str:
    """Returns the result of all experiments in one line."""
    outcomes = [verdict.outcome for verdict in verdicts]
    tried = [each for each in outcomes if each is not Outcome.UNSUPPORTED]
    refused = len(verdicts) - len(tried)
    bad = (Outcome.NOT_HELD, Outcome.NO_VERDICT)
    wrong = [f"{tried.count(each)} {each.value}" for each in bad if each in tried]
    text = f"{counted(len(tried), 'experiment')}: {', '.join(wrong) or 'all held'}"
    if not tried:
        text = "no experiment ran"
    return text + (f", {refused} not supported here" if refused else "")


def all_held(verdicts: Sequence[Verdict]) -> bool:
    """Returns whether at least one experiment ran, and all experiments held that are supported here."""
    outcomes = {verdict.outcome for verdict in verdicts} - {Outcome.UNSUPPORTED}
    return outcomes == {Outcome.HELD}


def in_short(verdict: Verdict) -> str:
    """Returns the outcome of an experiment for the line that reports its end, with the reason if it did not run."""
    word = verdict.outcome.value
    if verdict.outcome is Outcome.UNSUPPORTED:
        return f"{word} here: {verdict.refused}"
    return f"{word}: {verdict.failed}" if verdict.outcome is Outcome.NO_VERDICT else word


def as_json(verdicts: Sequence[Verdict]) -> bytes:
    """Returns a JSON document; `held` says that at least one experiment ran, and that all of them held."""
    body = {"held": all_held(verdicts), "experiments": [_document(each) for each in verdicts]}
    return msgspec.json.format(msgspec.json.encode(body))


def as_junit(verdicts: Sequence[Verdict]) -> bytes:
    """Returns JUnit XML: a test suite for each experiment, a test case for each check.

    The test cases of refused experiments are skipped, with the reason.
    """
    root = ET.Element("testsuites", name="pairsim-chaos")
    for verdict in verdicts:
        cases = [("made as written", verdict.failed, ())] + [
            (check.name, "" if check.held else check.figure, check.reasons) for check in verdict.checks
        ]
        failures = sum(bool(wrong) for _, wrong, _ in cases)
        counts = {"tests": len(cases), "failures": failures, "skipped": int(bool(verdict.refused)), "errors": 0}
        suite = ET.SubElement(root, "testsuite", name=verdict.experiment, time=f"{verdict.seconds:.3f}")
        for name, count in counts.items():
            suite.set(name, str(count))
        for name, wrong, reasons in cases:
            case = ET.SubElement(suite, "testcase", classname=verdict.experiment, name=name, time="0")
            if verdict.refused:
                ET.SubElement(case, "skipped", message=verdict.refused)
            elif wrong:
                ET.SubElement(case, "failure", message=wrong).text = "\n".join(reasons)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _document(verdict: Verdict) -> dict[str, object]:
    document: dict[str, object] = msgspec.to_builtins(verdict)
    return {"held": verdict.held, **document}


def _cells(verdict: Verdict) -> tuple[str, ...]:
    word = verdict.outcome.value
    if verdict.outcome is Outcome.UNSUPPORTED:
        return (word, *("",) * 6)
    if verdict.outcome is Outcome.NO_VERDICT:
        return (f"[bold red]{word}[/bold red]", *("",) * 6)
    durable = verdict.checks[0].figure if verdict.checks else ""
    lost, _, acknowledged = durable.removesuffix(" lost").partition(" of ")
    return (
        f"[green]{word}[/green]" if verdict.held else f"[bold red]{word}[/bold red]",
        acknowledged,
        lost,
        f"{100 * verdict.availability:.1f} %",
        f"{1000 * verdict.longest:.0f} ms",
        str(len(verdict.takeovers)),
        _redundant_after(verdict),
    )


def _redundant_after(verdict: Verdict) -> str:
    """Returns the time until the world stayed redundant; "-" if it was never seen without redundancy."""
    if any(check.name == REDUNDANT and not check.held for check in verdict.checks):
        return "never"
    return f"{verdict.redundant_after:.1f} s" if verdict.redundant_after else "-"
