"""The description of a sweep's MLflow run, in Markdown: what was searched, the best trial with its command, and those after it."""

from pipeline.search.status import command_of, description, score_of, summary, values
from pipeline.search.sweep import Sweep

MOST = 5  # trials in the table


def note(sweep: Sweep) -> str:
    """Return what a person reads first of a sweep."""
    parts = [description(sweep)]
    if best := sweep.best():
        complete = [row for row in sweep.points() if row.state == "complete"]
        ranked = sorted(complete, key=lambda row: -sweep.sign * (row.value or 0.0))[:MOST]
        lines = [f"| {row.number} | {score_of(sweep, row)} | {values(sweep, row).replace('|', '&#124;')} |" for row in ranked]
        parts += [
            f"{summary(sweep)}.",
            f"### The best: trial {best.number}",
            f"```\n{command_of(best)}\n```",
            "\n".join([f"| trial | {sweep.monitor} | values |", "|---:|---:|---|", *lines]),
            "`report.html` among the artifacts says what mattered, what was not tried, and what to try next.",
        ]
    return "\n\n".join(parts)
