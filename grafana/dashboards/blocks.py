"""Building blocks of all dashboards, so that they look and behave alike.

Every query names its area and namespace by variables, and the data source is a variable too, so a dashboard works in
any Grafana.
"""

from __future__ import annotations

import json
from typing import NamedTuple, cast

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
HERE = 'job="pairsim", namespace=~"$namespace"'
"""The part of a selector that chooses the world."""

AREA = f'{HERE}, area=~"$area"'
"""The part of a selector that chooses the areas; it excludes spares, which have no area."""

STEP = "15s"
WIDTH, HEIGHT = 24, 8


class Query(NamedTuple):
    """A PromQL expression, and the name of its series."""

    expression: str
    legend: str


class PanelValue(NamedTuple):
    """The text and the colour for a value of a state. Readers with any colour vision can distinguish the colours."""

    text: str
    color: str


GOOD, FAIR, BAD, IDLE = "#0072B2", "#56B4E9", "#D55E00", "#999999"
ROLES = {3: PanelValue("active", GOOD), 2: PanelValue("passive", FAIR), 1: PanelValue("joining", "#E69F00")}
IN_SYNC = {
    2: PanelValue("a pair in sync", GOOD),
    1: PanelValue("one replica", "#E69F00"),
    0: PanelValue("no replica", BAD),
}
YES = {1: PanelValue("yes", GOOD), 0: PanelValue("no", IDLE)}
FIRING = {1: PanelValue("fires", BAD)}


def roles(select: str) -> str:
    """Returns the expression for the role of each pod: 3 active, 2 passive, 1 joining."""
    parts = [f'pairsim_role{{{select}, role="{ROLES[value].text}"}} * {value}' for value in ROLES]
    return f"sum by (area, pod) ({' or '.join(parts)}) > 0"


def quantile(level: float, name: str, select: str, by: str) -> str:
    """Returns the expression for a quantile of a histogram over the chosen areas."""
    inner = f"rate({name}_bucket{{{select}}}[$__rate_interval])"
    return f"histogram_quantile({level}, sum by ({by}, le) ({inner}))"


def _target(query: Query, *, instant: bool = False) -> prometheus.Dataquery:
    made = prometheus.Dataquery().datasource(SOURCE).expr(query.expression).legend_format(query.legend)
    return made.instant() if instant else made.range()


def _mapping(values: dict[int, PanelValue]) -> list[models.ValueMapping]:
    options = {
        str(value): models.ValueMappingResult(text=shown.text, color=shown.color, index=index)
        for index, (value, shown) in enumerate(values.items())
    }
    return [models.ValueMap(options=options)]


def graph(title: str, unit: str, description: str, *queries: Query, span: int = 8) -> timeseries.Panel:
    """Returns a panel with lines over time."""
    legend = common.VizLegendOptions().display_mode(common_models.LegendDisplayMode.LIST)
    panel = (
        timeseries.Panel().title(title).description(description).datasource(SOURCE).unit(unit).span(span).height(HEIGHT)
        .min(0).fill_opacity(5).show_points(common_models.VisibilityMode.NEVER)
        .legend(legend.placement(common_models.LegendPlacement.BOTTOM).show_legend(True))
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
    )  # fmt: skip
    for query in queries:
        panel.with_target(_target(query))
    return panel


def number(title: str, unit: str, description: str, query: Query, *, span: int = 4) -> stat.Panel:
    """Returns a panel with the newest value as a large number."""
    return (
        stat.Panel().title(title).description(description).datasource(SOURCE).unit(unit).span(span).height(4)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .with_target(_target(query, instant=True))
    )  # fmt: skip


def states(
    title: str, description: str, values: dict[int, PanelValue], query: Query, *, span: int = WIDTH
) -> statetimeline.Panel:
    """Returns a panel with the states of each series over time."""
    return (
        statetimeline.Panel().title(title).description(description).datasource(SOURCE).span(span).height(HEIGHT)
        .mappings(_mapping(values)).show_value(common_models.VisibilityMode.NEVER)
        .with_target(_target(query))
    )  # fmt: skip


def board(uid: str, title: str, description: str, *, area: bool) -> dashboard.Dashboard:
    """Returns an empty dashboard with its variables; with `area` the viewer can choose areas."""
    made = (
        dashboard.Dashboard(title).uid(uid).description(description).tags(["pairsim"]).readonly()
        .time("now-30m", "now").refresh("5s").timezone("browser").tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_variable("namespace", "World", 'label_values(up{job="pairsim"}, namespace)'))
        .link(dashboard.DashboardLink("pairsim").type(models.DashboardLinkType.DASHBOARDS).tags(["pairsim"])
              .as_dropdown(True).include_vars(True).keep_time(True))
    )  # fmt: skip
    if area:
        query = 'label_values(pairsim_generation{job="pairsim", namespace=~"$namespace"}, area)'
        made.with_variable(_variable("area", "Area", query).include_all(True).all_value(".+").multi(True))
    return made


def _variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name).label(label).datasource(SOURCE).query(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)
    )  # fmt: skip


def annotation(name: str, expression: str, color: str) -> dashboard.AnnotationQuery:
    """Returns marks on all panels at the times when an expression has series; `written` adds their texts."""
    return dashboard.AnnotationQuery().name(name).datasource(SOURCE).enable(True).icon_color(color).expr(expression)


def written(made: dashboard.Dashboard, texts: dict[str, tuple[str, str]] | None = None) -> str:
    """Returns the JSON file of a dashboard.

    Args:
        made: The dashboard.
        texts: The title and the labels of each annotation by its name, since the library has no fields for them.
    """
    document = cast("dict[str, object]", json.loads(json.dumps(made.build(), cls=JSONEncoder)))
    annotations = cast("dict[str, list[dict[str, object]]]", document.get("annotations", {}))
    for one in annotations.get("list", []):
        title, tags = (texts or {})[str(one["name"])]
        one |= {"titleFormat": title, "tagKeys": tags, "step": STEP}
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
