"""A sweep in words and as a table, for the terminal and for MLflow."""

import shlex
from collections import Counter
from datetime import timedelta

from rich import box
from rich.table import Table
from rich.text import Text

from pipeline.config.search import Entry
from pipeline.config.sweep_words import Options
from pipeline.config.wording import counted
from pipeline.search.rows import ENDED, Row
from pipeline.search.sweep import Sweep
from pipeline.search.task import rounded

IN_WORDS = ("state", "values", "reason")  # columns that are read from the left


def table(sweep: Sweep) -> Table:
    """Return a line for each point: its last trial."""
    found = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("point", "trial", "state", "attempt", "score", "time", *IN_WORDS[1:]):
        is_text = title in IN_WORDS
        found.add_column(title, justify="left" if is_text else "right", overflow="fold", no_wrap=title not in IN_WORDS[1:])
    for row in sweep.points():
        score = "" if row.value is None else score_of(sweep, row)
        reason = row.reason.strip().rpartition("\n")[2]
        cells = (str(row.point), str(row.number), row.state, str(row.attempt), score, in_time(row.seconds), values(sweep, row), reason)
        found.add_row(*map(Text, cells))
    return found


def summary(sweep: Sweep) -> str:
    """Return the counts of points by state, the best, and how long the rest may take."""
    rows, best = sweep.points(), sweep.best()
    counts = Counter(row.state for row in rows)
    parts = [f"{sweep.name}: {counted(len(rows), 'point')}, {', '.join(f'{n} {state}' for state, n in counts.items()) or 'none begun'}"]
    if best:
        parts.append(f"best {sweep.monitor} {score_of(sweep, best)} of trial {best.number} ({values(sweep, best)})")
    if sweep.search.settings.against:
        front = [f"trial {row.number} ({score_of(sweep, row)})" for row in sweep.front()]
        parts.append(f"{counted(len(front), 'point')} that no other beats: {', '.join(front)}")
    if sweep.is_over_early:
        parts.append(f"ended early, as {counted(sweep.search.settings.patience or 0, 'point')} brought nothing better")
    done = ended(rows)
    if done and sweep.seconds:
        parts.append(f"{60 * done / sweep.seconds:.1f} trials a minute")
    left = max(len(rows), 0 if sweep.search.settings.sampler == "grid" else sweep.search.settings.trials or 0) - done
    if done and left and not sweep.is_over_early:
        parts.append(f"about {in_time(left * sweep.seconds / done)} left")
    return "; ".join(parts)


def description(sweep: Sweep) -> str:
    """Return what is searched, and how, in a sentence."""
    search, settings = sweep.search, sweep.search.settings
    end = [counted(settings.trials, "trial")] if settings.trials and settings.sampler != "grid" else []
    end += [f"at most {settings.time}"] if settings.time else []
    ways = [settings.sampler, *([f"{settings.pruner} pruning"] if settings.pruner != "none" else []), *end]
    ways += [f"against few {settings.against}"] if settings.against else []
    ways += [f"{len(search.repetitions)} trainings of each point"] if len(search.repetitions) > 1 else []
    fixed = f" Fixed: {', '.join(search.fixed)}." if search.fixed else ""
    varied = "; ".join(map(_in_words, search.entries))
    return f"A sweep for the best {sweep.monitor} ({', '.join(ways)}) over {varied}.{fixed}"


def _in_words(entry: Entry) -> str:
    drawn = entry.values
    if isinstance(drawn, Options):
        return f"{entry.name}: {', '.join(drawn.texts)}"
    step = f" in steps of {drawn.step}" if drawn.step not in (None, 1) else ""
    return f"{entry.name}: {drawn.low} to {drawn.high}{step}{' on a logarithmic scale' if drawn.is_log else ''}"


def ended(rows: list[Row]) -> int:
    """Count the rows that have ended."""
    return sum(row.state in ENDED for row in rows)


def values(sweep: Sweep, row: Row) -> str:
    """Return the overrides that vary, of a row, to four digits."""
    return ", ".join(map(rounded, sweep.varied(row.words))) or ("the config as it stands" if row.words else "")


def score_of(sweep: Sweep, row: Row, form: str = ".4f") -> str:
    """Return a row's score with its spread and its cost, as far as it has them."""
    return scored(sweep, row.value or 0.0, row.cost, row.spread, form=form)


def scored(sweep: Sweep, score: float, cost: float | None = None, spread: float | None = None, *, form: str = ".4f") -> str:
    """Return a score to so many digits, its standard deviation, and what the second objective says."""
    after = "" if spread is None else f" ± {spread:{form}}"
    return f"{score:{form}}{after}" + ("" if cost is None else f" with {cost:,.0f} {sweep.search.settings.against}")


def number(value: float | str | None) -> str:
    """Return a number to four digits, a name as it is, nothing for None."""
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def command_of(row: Row) -> str:
    """Return the command that trains at a row's point."""
    return shlex.join(["python", "-m", "pipeline.stage.train", *row.words])


def in_time(seconds: float) -> str:
    """Return a time as hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))
