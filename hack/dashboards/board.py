"""Common parts of the dashboards: data source, variables, links, and panels with required units and descriptions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models import prometheus as query_models

if TYPE_CHECKING:
    from collections.abc import Sequence

PROMETHEUS = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
TAG = "mcq"
RATE = "$__rate_interval"
WIDTH = 24

Panel = TypeVar("Panel", timeseries.Panel, stat.Panel, heatmap.Panel)


class Query(NamedTuple):
    """A Prometheus query and the legend of its series; `{{label}}` is the label's value."""

    expr: str
    legend: str = ""


def graph(
    title: str, description: str, unit: str, *queries: Query,
    exemplars: bool = False, stacked: bool = False, width: int = 12, most: float | None = None,
) -> timeseries.Panel:  # fmt: skip
    """Return a panel of lines over time. `exemplars` adds points that link to traces; `most` is the axis' maximum."""
    panel = _panel(timeseries.Panel(), title, description, unit, width, queries, exemplars=exemplars)
    panel.min(0).fill_opacity(30 if stacked else 8).show_points(common.VisibilityMode.NEVER)
    panel.legend(
        common_builders.VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM)
    )
    panel.tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    if most is not None:
        panel.max(most)
    if stacked:
        panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    return panel


def number(
    title: str,
    description: str,
    unit: str,
    expr: str,
    *,
    bad_above: float | None = None,
    good_above: float | None = None,
) -> stat.Panel:
    """Return a panel of one figure; red above `bad_above`, or below `good_above`."""
    panel = _panel(stat.Panel(), title, description, unit, 4, [Query(expr)])
    panel.height(4).graph_mode(common.BigValueGraphMode.NONE)
    panel.reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
    steps = [dashboard.Threshold(color="green", value=None)]
    if bad_above is not None:
        steps.append(dashboard.Threshold(color="red", value=bad_above))
    if good_above is not None:
        steps = [
            dashboard.Threshold(color="red", value=None),
            dashboard.Threshold(color="green", value=good_above),
        ]
    return panel.thresholds(builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps))


def buckets(title: str, description: str, unit: str, expr: str) -> heatmap.Panel:
    """Return a heatmap of a histogram over time; `expr` gives a rate for each `le`."""
    query = [Query(expr, "{{le}}")]
    panel = _panel(
        heatmap.Panel(), title, description, unit, 12, query, form=query_models.PromQueryFormat.HEATMAP
    )
    axis = heatmap.YAxisConfig().unit(unit)
    return panel.y_axis(axis).color(
        heatmap.HeatmapColorOptions().mode(heatmap_models.HeatmapColorMode.SCHEME).scheme("Oranges")
    )


def _panel(
    panel: Panel, title: str, description: str, unit: str, width: int, queries: Sequence[Query], *,
    exemplars: bool = False, form: query_models.PromQueryFormat = query_models.PromQueryFormat.TIME_SERIES,
) -> Panel:  # fmt: skip
    panel.title(title).description(description).unit(unit).span(width).height(8).datasource(PROMETHEUS)
    for name, query in zip("ABCDEFGH", queries, strict=False):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(name).format(form)
        panel.with_target(target.datasource(PROMETHEUS).exemplar(exemplars))
    return panel


def solver_variables(**constants: str) -> list[builders.QueryVariable | builders.ConstantVariable]:
    """Return the variables that select a solver; `constants` come from its spec, set by the operator."""
    namespace = _choice("namespace", "Namespace", "label_values(mcq_model_info, namespace)")
    solver = _choice("solver", "Solver", 'label_values(mcq_model_info{namespace="$namespace"}, job)')
    return [
        namespace,
        solver,
        *(builders.ConstantVariable(name).value(value) for name, value in constants.items()),
    ]


def _choice(name: str, label: str, query: str) -> builders.QueryVariable:
    variable = (
        builders.QueryVariable(name)
        .label(label)
        .query({"query": query, "refId": name})
        .datasource(PROMETHEUS)
    )
    return variable.refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)


def board(
    uid: str, title: str, description: str, *,
    variables: Sequence[Any], rows: Sequence[tuple[str, Sequence[Any]]],
) -> str:  # fmt: skip
    """Return the dashboard as JSON; `rows` are titles with their panels."""
    builder = builders.Dashboard(title).uid(uid).description(description).tags([TAG]).editable()
    builder.time("now-1h", "now").refresh("30s").timezone("browser").tooltip(
        dashboard.DashboardCursorSync.CROSSHAIR
    )
    source = builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
    for variable in (source, *variables):
        builder.with_variable(variable)
    link = builders.DashboardLink("MCQ dashboards").type(dashboard.DashboardLinkType.DASHBOARDS).tags([TAG])
    builder.link(link.as_dropdown(True).include_vars(True).keep_time(True))
    for name, panels in rows:
        builder.with_row(builders.Row(name))
        for panel in panels:
            builder.with_panel(panel)
    return json.dumps(builder.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"
