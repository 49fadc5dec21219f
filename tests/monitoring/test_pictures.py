"""Pictures of the dashboards, drawn from a server that answers like Prometheus."""

import itertools
import json
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hack.pictures import __main__ as command
from hack.pictures import drawing, units
from hack.pictures.canvas import Canvas
from hack.pictures.errors import PictureError
from hack.pictures.panels import Data, Line, fetch, legend, read
from hack.pictures.picture import HEADER, WIDTH, box, picture
from hack.pictures.prometheus import Prometheus, TimeRange
from PIL import Image
from tests.monitoring.test_dashboards import boards

END = 1_800_000_000
TIMES = TimeRange.until(END, seconds=600, scrape_seconds=5)
LABELS = {
    "outcome": "answered",
    "pod": "demo-0",
    "mode": "explain",
    "kind": "Pod",
    "verb": "apply",
    "name": "exam",
}
NOTHING = object()
"""Prometheus answers 204 where it is asked for the exemplars of an expression without series."""
BUCKETS = {"0.5": 1, "1": 4, "+Inf": 4}


def full(form: dict[str, str]) -> Any:
    """Answer every query with a series, or with a histogram's buckets where the query asks for them."""
    if "step" not in form and "{" not in form["query"]:
        return NOTHING
    if "step" not in form:
        return [{"exemplars": [{"value": "0.2", "timestamp": END - 60}]}]
    times = [float(form["start"]), float(form["end"])]
    if "sum by (le) (rate(" in form["query"] and "quantile" not in form["query"]:
        series = {le: str(count) for le, count in BUCKETS.items()}
        result = [{"metric": {"le": le}, "values": [[time, n] for time in times]} for le, n in series.items()]
    else:
        result = [{"metric": LABELS, "values": [[time, "0.5"] for time in times]}]
    return {"result": result}


def empty(form: dict[str, str]) -> Any:
    return {"result": []} if "step" in form else []


@contextmanager
def serving(answer: Callable[[dict[str, str]], Any]) -> Iterator[tuple[Prometheus, list[str]]]:
    """Yield a Prometheus that answers with `answer`, and the queries that it gets. None is a wrong query."""
    queries = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = dict(urllib.parse.parse_qsl(body))
            queries.append(form["query"])
            data = answer(form)
            self.send_response(204 if data is NOTHING else 400 if data is None else 200)
            self.end_headers()
            if data is NOTHING:
                return
            self.wfile.write(
                json.dumps({"data": data} if data is not None else {"error": "parse error"}).encode()
            )

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Prometheus(f"http://127.0.0.1:{server.server_address[1]}"), queries
        server.shutdown()


def board(**panel: Any) -> dict[str, Any]:
    """Return a dashboard with one panel."""
    target = {"expr": "up", "legendFormat": "{{pod}}"}
    defaults = {"unit": "s", "min": 0}
    given = {"type": "timeseries", "title": "Up", "targets": [target], "fieldConfig": {"defaults": defaults}}
    place = {"x": 0, "y": 0, "w": 12, "h": 8}
    return {
        "uid": "u", "title": "One", "templating": {"list": []}, "panels": [{**given, "gridPos": place, **panel}]
    }  # fmt: skip


def texts(canvas: Canvas) -> list[str]:
    return [text.get_text() for text in canvas.figure.texts]


@pytest.mark.parametrize("name", [*boards()])
def test_each_dashboard_is_drawn(name: str, tmp_path: Path) -> None:
    dashboard = read(boards()[name], rate_interval=TIMES.rate_interval, variables={})
    with serving(full) as (prometheus, queries):
        canvas = picture(dashboard, prometheus, TIMES)
    canvas.save(tmp_path / "picture.png")
    assert {panel.title for panel in dashboard.panels} <= {*texts(canvas)}
    assert "No data" not in texts(canvas)
    assert "p95" in texts(canvas) or "exam" in texts(canvas)
    assert not [query for query in queries if "$" in query]
    with Image.open(tmp_path / "picture.png") as image:
        assert image.size == (canvas.width, canvas.height)
        assert len(image.convert("RGB").getcolors() or []) > 20


@pytest.mark.parametrize("name", [*boards()])
def test_panels_do_not_overlap(name: str) -> None:
    dashboard = read(boards()[name], rate_interval="20s", variables={})
    places = [box(panel.place) for panel in dashboard.panels]
    for one, other in itertools.combinations(places, 2):
        beside = one.left + one.width < other.left or other.left + other.width < one.left
        assert beside or one.top + one.height < other.top or other.top + other.height < one.top
    assert all(each.left > 0 and each.left + each.width < WIDTH and each.top >= HEADER for each in places)


def test_a_panel_without_series_says_so() -> None:
    with serving(empty) as (prometheus, _):
        canvas = picture(read(board(), rate_interval="20s", variables={}), prometheus, TIMES)
    assert "No data" in texts(canvas)
    assert not canvas.figure.axes


def test_a_graph_has_its_unit_and_legend() -> None:
    with serving(full) as (prometheus, _):
        canvas = picture(read(board(), rate_interval="20s", variables={}), prometheus, TIMES)
    [axes] = canvas.figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "0 s", "100 ms", "200 ms", "300 ms", "400 ms", "500 ms"
    ]  # fmt: skip
    assert axes.get_xlim() == (END - 600, END)
    assert "demo-0" in texts(canvas)


def test_missing_values_are_gaps() -> None:
    """A line does not cross a time without a value."""
    with serving(full) as (prometheus, _):
        canvas = picture(read(board(), rate_interval="20s", variables={}), prometheus, TIMES)
    line, *_ = canvas.figure.axes[0].get_lines()
    heights = np.asarray(line.get_ydata()).tolist()
    assert len(heights) == 121
    assert (heights[0], heights[-1]) == (0.5, 0.5)
    assert all(each != each for each in heights[1:-1])  # NaN


def test_stacked_series_add_up() -> None:
    custom = {"unit": "none", "min": 0, "custom": {"stacking": {"mode": "normal"}}}
    target = {"expr": "up", "legendFormat": "{{pod}}"}
    stacked = board(fieldConfig={"defaults": custom}, targets=[target, target])
    with serving(full) as (prometheus, _):
        canvas = picture(read(stacked, rate_interval="20s", variables={}), prometheus, TIMES)
    lower, upper, *_ = canvas.figure.axes[0].get_lines()
    assert [np.asarray(line.get_ydata())[0] for line in (lower, upper)] == [0.5, 1.0]


def test_an_unknown_type_of_panel_is_named() -> None:
    with pytest.raises(PictureError, match="'Up' has the type 'piechart'"):
        read(board(type="piechart"), rate_interval="20s", variables={})


def test_a_variable_without_a_value_is_named() -> None:
    with pytest.raises(PictureError, match="The variable solver has no value"):
        read(board(targets=[{"expr": 'up{job="$solver"}'}]), rate_interval="20s", variables={})


def test_a_heatmaps_buckets_count_each_value_once() -> None:
    target = {"expr": "sum by (le) (rate(seconds_bucket[$__rate_interval]))", "legendFormat": "{{le}}"}
    dashboard = read(board(type="heatmap", targets=[target]), rate_interval="20s", variables={})
    with serving(full) as (prometheus, queries):
        data = fetch(dashboard.panels[0], prometheus, TIMES)
    assert queries == ["sum by (le) (rate(seconds_bucket[20s]))"]
    assert [(line.bound, line.values[END]) for line in data.lines] == [(0.5, 1), (1, 3), (float("inf"), 0)]


@pytest.mark.parametrize(
    ("value", "color"), [(0, "green"), (0.01, "red"), (0.5, "red")]
)  # fmt: skip
def test_a_figures_color_is_its_thresholds(value: float, color: str) -> None:
    steps = [(None, "green"), (0.01, "red")]
    assert drawing.threshold_color(steps, value) == drawing.THRESHOLD_COLORS[color]


def test_a_figure_is_the_last_value() -> None:
    assert drawing.last(Data([Line("", {2.0: 5.0, 3.0: 7.0, 1.0: 6.0})])) == 7


def test_a_long_legend_says_how_many_names_are_missing() -> None:
    def many(form: dict[str, str]) -> Any:
        if "step" not in form:
            return []
        times = [[float(form["end"]), "1"]]
        return {"result": [{"metric": {"pod": f"some-long-name-{n:02}"}, "values": times} for n in range(40)]}

    with serving(many) as (prometheus, _):
        canvas = picture(read(board(), rate_interval="20s", variables={}), prometheus, TIMES)
    names = [text for text in texts(canvas) if text.startswith("some-")]
    assert f"and {40 - len(names)} more" in texts(canvas)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "none", "0"),
        (3, "none", "3"),
        (12345.6, "none", "12346"),
        (0.0432, "none", "0.0432"),
        (1, "percentunit", "100%"),
        (0.0123, "percentunit", "1.23%"),
        (0, "percentunit", "0%"),
        (0, "s", "0 s"),
        (0.00005, "s", "50 µs"),
        (0.25, "s", "250 ms"),
        (1.5, "s", "1.5 s"),
        (90, "s", "1.5 min"),
        (7200, "s", "2 hours"),
        (259200, "s", "3 days"),
        (0.5, "reqps", "0.5 req/s"),
        (2500, "reqps", "2.5 K req/s"),
        (0.2, "ops", "0.2 ops/s"),
        (0, "bytes", "0 B"),
        (1536, "bytes", "1.5 KiB"),
        (3 * 2**30, "bytes", "3 GiB"),
        (float("inf"), "none", "+Inf"),
        (float("nan"), "s", "NaN"),
    ],
)
def test_a_value_has_its_unit(value: float, unit: str, text: str) -> None:
    assert units.text(value, unit) == text


def test_an_unknown_unit_is_named() -> None:
    with pytest.raises(PictureError, match="'furlongs'"):
        units.text(1, "furlongs")


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("p95", "p95"),
        ("{{verb}} {{ kind }}", "apply Pod"),
        ("{{type}} {{reason}}", ""),
        ("", 'writes{kind="Pod", verb="apply"}'),
    ],
)
def test_a_legend_is_its_template_filled_in(template: str, name: str) -> None:
    assert legend(template, {"__name__": "writes", "verb": "apply", "kind": "Pod"}) == name


@pytest.mark.parametrize(
    ("seconds", "scrape", "step", "rate"), [(600, 5, 5, "20s"), (86400, 30, 180, "210s")]
)  # fmt: skip
def test_a_rate_covers_four_scrapes(seconds: float, scrape: float, step: float, rate: str) -> None:
    times = TimeRange.until(END + 1, seconds=seconds, scrape_seconds=scrape)
    assert (times.step, times.rate_interval) == (step, rate)
    assert times.end % step == 0
    assert END - step < times.end <= END + 1


def test_the_command_draws_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(board(targets=[{"expr": 'up{job="$solver"}', "legendFormat": "up"}])))
    with serving(full) as (prometheus, queries):
        monkeypatch.setattr(
            sys, "argv",
            ["pictures", str(file), f"--prometheus={prometheus.url}", f"--out={tmp_path}", "--variable=solver=demo"],
        )  # fmt: skip
        command.main()
    assert (tmp_path / "mine.png").read_bytes().startswith(b"\x89PNG")
    assert queries == ['up{job="demo"}']


def test_a_refused_query_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(board()))
    with serving(lambda _: None) as (prometheus, _):
        monkeypatch.setattr(
            sys, "argv", ["pictures", str(file), f"--prometheus={prometheus.url}", f"--out={tmp_path}"]
        )
        with pytest.raises(SystemExit, match="Prometheus refuses up: "):
            command.main()
