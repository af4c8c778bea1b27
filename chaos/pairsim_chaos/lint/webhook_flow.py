"""Rules for a `Schedule`, a `Workflow` or a `StatusCheck` that the webhook rejects, or on which the webhook panics.

Source: `schedule_webhook.go`, `workflow_webhook.go` and `statuscheck_webhook.go` of Chaos Mesh 2.8. The webhook checks
a `StatusCheck` in a template less strictly than one on its own; these rules treat both alike.
"""

from __future__ import annotations

from collections.abc import Iterator

from pairsim.addresses import is_http_url
from pairsim_chaos.lint.rule import Problem, Rule
from pairsim_chaos.spec.cron import cron_problem
from pairsim_chaos.spec.embedded_specs import FIELD_OF, UNSUPPORTED_FIELDS, EmbeddedSpec
from pairsim_chaos.spec.field_path import Field, quote
from pairsim_chaos.spec.quantities import is_dns_name, parse_status_codes
from pairsim_chaos.spec.schema import FAULTS

_SCHEDULE, _WORKFLOW, _CHECK = ("Schedule",), ("Workflow",), ("StatusCheck",)
_FLOW_TYPES = ("Serial", "Parallel", "Suspend", "Task", "StatusCheck", "Schedule")
_PARTS_OF = {
    "Serial": "children",
    "Parallel": "children",
    "Task": "task",
    "StatusCheck": "statusCheck",
    "Schedule": "schedule",
    **{kind: FIELD_OF[kind] for kind in FAULTS},
}
"""The field that holds what a template of a type does."""
PARTS = (*dict.fromkeys(_PARTS_OF.values()), "conditionalBranches", *UNSUPPORTED_FIELDS)


def is_unsupported(kind: str) -> bool:
    """Returns whether the kind is a fault of Chaos Mesh that pairsim does not run."""
    return kind.lower() in {name.lower() for name in UNSUPPORTED_FIELDS}


def cron(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks the cron expression."""
    field = found.spec.at("schedule")
    problem = cron_problem(field.text) if field.is_text else ""
    if problem:
        yield Problem(
            field, f"the schedule {problem}", 'write five fields or a descriptor: "*/10 * * * *", "@every 5m"'
        )


def schedule_spec(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that the schedule holds a spec of its type; without one, the webhook itself panics."""
    kind = found.spec.at("type")
    allowed = FAULTS if found.within == "template" else (*FAULTS, "Workflow")
    if not kind.text:
        return
    if kind.text not in allowed:
        wrong = (
            "is a kind that pairsim neither checks nor runs"
            if is_unsupported(kind.text)
            else "is not a type of a schedule"
        )
        yield Problem(kind, f"{quote(kind.text)} {wrong}", f"write one of {', '.join(allowed)}")
        return
    needed = FIELD_OF[kind.text]
    if not found.spec.at(needed).exists:
        yield Problem(
            found.spec.at(needed),
            f"type {kind.text} has no spec, and the webhook panics without one",
            f"write {needed}: …",
        )
    for name in (*FIELD_OF.values(), *UNSUPPORTED_FIELDS):
        if name != needed and found.spec.at(name).exists:
            yield Problem(
                found.spec.at(name), f"a schedule of type {kind.text} never runs this field", "remove the field"
            )


def _templates(found: EmbeddedSpec) -> tuple[Field, ...]:
    return found.spec.at("templates").items


def _names(found: EmbeddedSpec) -> set[str]:
    return {template.at("name").text for template in _templates(found)}


def entry(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that the workflow starts at one of its templates."""
    field, templates = found.spec.at("entry"), found.spec.at("templates")
    if isinstance(templates.value, list) and not templates.value:
        yield Problem(templates, "the workflow has no templates", "write at least one template")
    elif field.is_text and field.text not in _names(found):
        yield Problem(field, f"template {quote(field.text)} does not exist", _one_of(_names(found)))


def children(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that all children are templates."""
    known = _names(found)
    suggestion = _one_of(known)
    for template in _templates(found):
        for child in template.at("children").items:
            if child.is_text and child.text not in known:
                yield Problem(child, f"template {quote(child.text)} does not exist", suggestion)


def _one_of(names: set[str]) -> str:
    return f"write one of {', '.join(quote(name) for name in sorted(names)[:20])}"


def template_names(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that the names of templates are unique, and valid names of objects."""
    seen: set[str] = set()
    for template in _templates(found):
        field = template.at("name")
        if field.is_text and not is_dns_name(field.text):
            yield Problem(
                field, f"{quote(field.text)} is not a valid name", "use only lower-case letters, digits, '-' and '.'"
            )
        if field.text and field.text in seen:
            yield Problem(field, f"another template has the name {quote(field.text)}", "write another name")
        seen.add(field.text)


def suspend_deadline(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that every pause has a deadline."""
    for template in _templates(found):
        end = template.at("deadline")
        if template.at("templateType").text == "Suspend" and (not end.exists or end.value == ""):
            yield Problem(end, "a Suspend template needs a deadline", "write deadline: 30s")


def template_parts(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that a template holds the part that its type runs, and no other part."""
    for template in _templates(found):
        kind = template.at("templateType")
        if not kind.text:
            continue
        if kind.text not in (*FAULTS, *_FLOW_TYPES):
            wrong = (
                "is a kind that pairsim neither checks nor runs"
                if is_unsupported(kind.text)
                else "is not a type of a template"
            )
            yield Problem(kind, f"{quote(kind.text)} {wrong}", f"write one of {', '.join((*FAULTS, *_FLOW_TYPES))}")
            continue
        needed = _PARTS_OF.get(kind.text)
        part = template.at(needed) if needed else template
        if not part.exists or part.value == []:
            yield Problem(part, f"a {kind.text} template needs this field", f"write {needed}: …")
        free = {needed, "conditionalBranches" if kind.text == "Task" else needed}
        for name in PARTS:
            if name not in free and template.at(name).exists:
                yield Problem(template.at(name), f"a {kind.text} template does not use {name}", "remove the field")


def embedded_duration(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that a fault in a workflow has no duration, because it lasts as long as its template."""
    field = found.spec.at("duration")
    if found.within == "template" and field.exists:
        yield Problem(
            field, "a fault in a workflow must not have its own duration", "write a deadline in the template instead"
        )


def status_http(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks the URL of a status check, and its good status codes."""
    http = found.spec.at("http")
    if not http.exists:
        yield Problem(http, "the check has no request", "write http: with url: and criteria:")
        return
    url, code = http.at("url"), http.at("criteria", "statusCode")
    if url.is_text and not is_http_url(url.text):
        yield Problem(url, f"{quote(url.text)} is not a URL", "write http://HOST:PORT/PATH")
    if code.is_text and parse_status_codes(code.text) is None:
        yield Problem(
            code, f"{quote(code.text)} is not a status code", 'write a code or a range, in quotes: "200", "200-399"'
        )


RULES = (
    Rule(
        "cron",
        _SCHEDULE,
        "`schedule` must be a cron expression of five or six fields, or a descriptor such as `@every 5m`",
        cron,
    ),
    Rule(
        "schedule-body",
        _SCHEDULE,
        "the spec of `type` is required (the webhook panics without it), and no other spec may be written",
        schedule_spec,
    ),
    Rule("workflow-entry", _WORKFLOW, "a workflow needs templates, and `entry` must be one of them", entry),
    Rule("workflow-children", _WORKFLOW, "all `children` must be templates", children),
    Rule("template-name", _WORKFLOW, "names of templates must be unique DNS-1123 names", template_names),
    Rule("suspend-deadline", _WORKFLOW, "a `Suspend` needs a `deadline`", suspend_deadline),
    Rule(
        "template-parts",
        _WORKFLOW,
        "a template must hold the part that its `templateType` runs, and no other part",
        template_parts,
    ),
    Rule(
        "template-duration",
        FAULTS,
        "a fault in a template must not have a `duration`; it ends with the template",
        embedded_duration,
    ),
    Rule("status-http", _CHECK, "`http` needs a URL, and a status code or a range of status codes", status_http),
)
