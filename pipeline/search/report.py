"""The report of a sweep: one HTML file, without network, that says what was best, what mattered, and what to try next."""

import base64
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment

from pipeline.analysis.figures.sweep import curves_figure, front_figure, history_figure, importance_figure, parallel_figure, slice_figure
from pipeline.analysis.figures.trials import Point, Trials
from pipeline.config.wording import counted
from pipeline.search.findings import key_of, not_explored, what_mattered, what_next
from pipeline.search.importance import Group, importances
from pipeline.search.rows import Row
from pipeline.search.runner_up import runner_up, verdict
from pipeline.search.status import command_of, description, in_time, number, score_of, summary
from pipeline.search.sweep import Sweep

MOST_LINES = 300  # trials that a figure shows, the newest: more are a blot, and a slow page
Shown = dict[str, str]  # title -> picture, as a data URI


def write_report(sweep: Sweep, page: Path, trials: Path, prepared: Path) -> None:
    """Write the report of a sweep as it stands. trials: the folder that holds its trials' folders; prepared: the images."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(Path(__file__).with_suffix(".html").read_text())
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(template.render(_content(sweep, trials, prepared)), encoding="utf-8", errors="backslashreplace")


def _content(sweep: Sweep, trials: Path, prepared: Path) -> dict[str, Any]:
    rows, best = sweep.points(), sweep.best()
    groups = importances(sweep.study, sweep.search)
    scored = Trials(list(map(_point, _scored(rows)[-MOST_LINES:])), sweep.monitor, sweep.sign)
    return {
        "sweep": sweep,
        "description": description(sweep),
        "summary": summary(sweep),
        "best": best,
        "command": command_of(best) if best else "",
        "names": list(dict.fromkeys(name for row in rows for name in row.values)),
        "rows": sorted(rows, key=lambda row: (row.state != "complete", -sweep.sign * (row.value or 0.0))),
        "number": number,
        "in_time": in_time,
        "learned": list(_learned(sweep, rows, best, groups, trials, prepared)),
        "next": list(what_next(sweep.search, rows, best, sweep.sign)) if best else [],
        "unexplored": list(not_explored(sweep.search, rows)),
        "figures": _figures(sweep, scored) if best else {},
        "importance": _importance_figures(groups),
        "slices": _slices(sweep, scored) if best else {},
        "hidden": max(0, len(_scored(rows)) - MOST_LINES),
        "counted": counted,
    }


def _scored(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.value is not None and math.isfinite(row.value) and row.state in ("complete", "pruned")]


def _point(row: Row) -> Point:
    curve = {epoch: score for epoch, score in row.curve.items() if math.isfinite(score)}
    return Point(row.number, row.value or 0.0, row.state == "pruned", row.values, curve, row.spread, row.cost)


def _learned(sweep: Sweep, rows: Sequence[Row], best: Row | None, groups: Sequence[Group], trials: Path, prepared: Path) -> Iterator[str]:
    if best is None:
        yield "No trial is complete yet"
        return
    yield from what_mattered(groups)
    if against := sweep.search.settings.against:
        front = sweep.front()
        ends = " to ".join(f"{score_of(sweep, row)} (trial {row.number})" for row in (front[0], front[-1])[: len(front)])
        yield f"{counted(len(front), 'trial is', 'trials are')} beaten by no other in both {sweep.monitor} and {against}: {ends}"
    if second := runner_up(rows, best, sweep.sign):
        yield verdict(best, second, trials, prepared, sweep.monitor)
    if len(_scored(rows)) > 1:
        yield "The best of many trials owes a part of its score to chance; the test images say what it is worth"


def _figures(sweep: Sweep, scored: Trials) -> Shown:
    found = {"Scores in the order of the trials": history_figure(scored)}
    if any(point.curve for point in scored.points):
        found["Learning curves"] = curves_figure(scored)
    if against := sweep.search.settings.against:
        found["What no other beats"] = front_figure(scored, [row.number for row in sweep.front()], against)
    if len(sweep.search.entries) > 1:
        found["All keys at once"] = parallel_figure(scored, {entry.name: entry.values for entry in sweep.search.entries})
    return {title: _uri(figure) for title, figure in found.items()}


def _importance_figures(groups: Sequence[Group]) -> Shown:
    found = {}
    for group in groups:
        if group.shares:
            title = f"{group.condition or 'All trials'}: {counted(group.trials, 'complete trial')}"
            found[title] = _uri(importance_figure([(key_of(share), share.mean, share.low, share.high) for share in group.shares]))
    return found


def _slices(sweep: Sweep, scored: Trials) -> Shown:
    having = [entry for entry in sweep.search.entries if any(entry.name in point.values for point in scored.points)]
    return {entry.name: _uri(slice_figure(scored, entry.name, entry.values)) for entry in having}


def _uri(figure: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(figure.encode()).decode()
