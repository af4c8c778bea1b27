"""What the webhook refuses, or breaks on, in a `Schedule`, a `Workflow` or a `StatusCheck`.

Source: `schedule_webhook.go`, `workflow_webhook.go` and `statuscheck_webhook.go` of Chaos Mesh 2.8. It looks at a
`StatusCheck` in a template less closely than at one on its own; here they are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from pairsim_chaos.spec.cron import cron_problem
from pairsim_chaos.spec.embedded_specs import FIELD_OF, FOREIGN
from pairsim_chaos.spec.field_path import Body, Field, Rule, Slip, shown
from pairsim_chaos.spec.quantities import dns_name, status_codes
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
PARTS = (*dict.fromkeys(_PARTS_OF.values()), "conditionalBranches", *FOREIGN)


def foreign(kind: str) -> bool:
    """Whether it is a kind of Chaos Mesh that pairsim does not run."""
    return kind.lower() in {name.lower() for name in FOREIGN}


def cron(body: Body) -> Iterator[Slip]:
    """When it runs."""
    field = body.spec.at("schedule")
    problem = cron_problem(field.text) if field.is_text else ""
    if problem:
        yield Slip(field, f"the schedule {problem}", 'write five fields or a descriptor: "*/10 * * * *", "@every 5m"')


def schedule_body(body: Body) -> Iterator[Slip]:
    """What it runs. A type whose body is missing makes the webhook itself fail."""
    kind = body.spec.at("type")
    allowed = FAULTS if body.within == "template" else (*FAULTS, "Workflow")
    if not kind.text:
        return
    if kind.text not in allowed:
        wrong = "is a kind that pairsim neither checks nor runs" if foreign(kind.text) else "is no type of a schedule"
        yield Slip(kind, f"{shown(kind.text)} {wrong}", f"write one of {', '.join(allowed)}")
        return
    needed = FIELD_OF[kind.text]
    if not body.spec.at(needed).there:
        yield Slip(
            body.spec.at(needed), f"type {kind.text} has no body, and the webhook fails on it", f"write {needed}: …"
        )
    for name in (*FIELD_OF.values(), *FOREIGN):
        if name != needed and body.spec.at(name).there:
            yield Slip(body.spec.at(name), f"it is not of type {kind.text} and never runs", "leave it out")


def _templates(body: Body) -> tuple[Field, ...]:
    return body.spec.at("templates").items


def _names(body: Body) -> set[str]:
    return {template.at("name").text for template in _templates(body)}


def entry(body: Body) -> Iterator[Slip]:
    """Where it starts."""
    field, templates = body.spec.at("entry"), body.spec.at("templates")
    if isinstance(templates.value, list) and not templates.value:
        yield Slip(templates, "a workflow without templates", "write at least one template")
    elif field.is_text and field.text not in _names(body):
        yield Slip(field, f"there is no template {shown(field.text)}", _one_of(_names(body)))


def children(body: Body) -> Iterator[Slip]:
    """What comes after."""
    known = _names(body)
    instead = _one_of(known)
    for template in _templates(body):
        for child in template.at("children").items:
            if child.is_text and child.text not in known:
                yield Slip(child, f"there is no template {shown(child.text)}", instead)


def _one_of(names: set[str]) -> str:
    return f"write one of {', '.join(shown(name) for name in sorted(names)[:20])}"


def template_names(body: Body) -> Iterator[Slip]:
    """Names are unlike, and fit for objects."""
    seen: set[str] = set()
    for template in _templates(body):
        field = template.at("name")
        if field.is_text and not dns_name(field.text):
            yield Slip(field, f"{shown(field.text)} is no name", "write lower-case letters, digits, '-' and '.' alone")
        if field.text and field.text in seen:
            yield Slip(field, f"another template is called {shown(field.text)}", "write another name")
        seen.add(field.text)


def suspend(body: Body) -> Iterator[Slip]:
    """A pause ends."""
    for template in _templates(body):
        end = template.at("deadline")
        if template.at("templateType").text == "Suspend" and (not end.there or end.value == ""):
            yield Slip(end, "a Suspend without end", "write deadline: 30s")


def template_parts(body: Body) -> Iterator[Slip]:
    """A template holds what its type does, and nothing else."""
    for template in _templates(body):
        kind = template.at("templateType")
        if not kind.text:
            continue
        if kind.text not in (*FAULTS, *_FLOW_TYPES):
            wrong = (
                "is a kind that pairsim neither checks nor runs" if foreign(kind.text) else "is no type of a template"
            )
            yield Slip(kind, f"{shown(kind.text)} {wrong}", f"write one of {', '.join((*FAULTS, *_FLOW_TYPES))}")
            continue
        needed = _PARTS_OF.get(kind.text)
        part = template.at(needed) if needed else template
        if not part.there or part.value == []:
            yield Slip(part, f"a {kind.text} template without it", f"write {needed}: …")
        free = {needed, "conditionalBranches" if kind.text == "Task" else needed}
        for name in PARTS:
            if name not in free and template.at(name).there:
                yield Slip(template.at(name), f"a {kind.text} template has no {name}", "leave it out")


def embedded_duration(body: Body) -> Iterator[Slip]:
    """A fault in a workflow lasts as long as its template."""
    field = body.spec.at("duration")
    if body.within == "template" and field.there:
        yield Slip(field, "a fault in a workflow has no duration of its own", "write the template's deadline instead")


def status_http(body: Body) -> Iterator[Slip]:
    """Whom it asks, and which answers are good."""
    http = body.spec.at("http")
    if not http.there:
        yield Slip(http, "there is nothing to ask", "write http: with url: and criteria:")
        return
    url, code = http.at("url"), http.at("criteria", "statusCode")
    if url.is_text and not _is_url(url.text):
        yield Slip(url, f"{shown(url.text)} is no URL", "write http://HOST:PORT/PATH")
    if code.is_text and status_codes(code.text) is None:
        yield Slip(code, f"{shown(code.text)} is no status code", 'write one or a range, in quotes: "200", "200-399"')


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0 and " " not in text
    except ValueError:
        return False


RULES = (
    Rule("cron", _SCHEDULE, "`schedule` is cron with five or six fields, or `@every` and the like", cron),
    Rule(
        "schedule-body",
        _SCHEDULE,
        "the body of `type` is there (without it the webhook panics), and no other",
        schedule_body,
    ),
    Rule("workflow-entry", _WORKFLOW, "there are templates, and `entry` is one of them", entry),
    Rule("workflow-children", _WORKFLOW, "all `children` are templates", children),
    Rule("template-name", _WORKFLOW, "names of templates are unlike, and DNS-1123 names", template_names),
    Rule("suspend-deadline", _WORKFLOW, "a `Suspend` has a `deadline`", suspend),
    Rule(
        "template-parts", _WORKFLOW, "a template holds what its `templateType` does, and nothing else", template_parts
    ),
    Rule(
        "template-duration",
        FAULTS,
        "a fault in a template has no `duration`: it ends with the template",
        embedded_duration,
    ),
    Rule("status-http", _CHECK, "`http` has a URL, and a status code or a range of them", status_http),
)
