"""Say what differs between runs: python -m pipeline.command.compare [RUN…] [--latest N] [--all] [--csv]"""

import argparse
import csv
import io
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import takewhile

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.config.entry import exit_code
from pipeline.config.places import WORKSPACE
from pipeline.tracking.comparison import (
    SHORT,
    Figure,
    TrackedRun,
    differing,
    equal_params,
    figures,
    find,
    implied,
    incomparable,
    kept_epoch,
    latest,
    listed,
    same_data,
    table,
    tags,
    told,
    with_curves,
)

LATEST = 10  # runs, where none are named
MOST_SIDE_BY_SIDE = 4  # runs; of more, each has a line of its own
NARROWEST = 12  # characters of a column that holds a figure with its epoch
LONGEST = 24  # characters of a value; longer ones are cut to where they differ
GAP = 2  # blanks between columns
NONE = "–"
MARK = " *"  # behind the best value


@dataclass(frozen=True)
class Section:
    title: str
    rows: dict[str, list[str]]  # label -> a cell per run
    notes: list[str] = field(default_factory=list)  # sentences above the rows


def main() -> None:
    """Print what differs between runs in data, code and parameters, and their best and last figures.

    A RUN is a run's name (of `dvc exp` too), its id, or an unambiguous beginning of its id. Parameters are named as in
    `dvc params diff`."""
    arguments = parse_arguments()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal's encoding may lack the dash
    from pipeline.config.composition import compose, parse, resolved
    from pipeline.tracking.store import Store

    store = Store(parse(resolved(compose(WORKSPACE / "conf"))).tracking, WORKSPACE)
    runs = named(arguments.run, listed(store)) if arguments.run else latest(store, arguments.latest)
    runs = [with_curves(store, run) for run in runs]
    if arguments.csv:
        rows = table(runs)
        writer = csv.DictWriter(sys.stdout, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    else:
        width = shutil.get_terminal_size(fallback=(120, 40)).columns
        print(rendered(runs, sections(runs, arguments.all), width), end="")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pipeline.command.compare", description=main.__doc__)
    parser.add_argument("run", nargs="*", metavar="RUN", help="a run's name, its id, or an unambiguous beginning of its id")
    parser.add_argument("--latest", type=int, metavar="N", help=f"without RUN: the latest N finished runs (default: {LATEST})")
    parser.add_argument("--all", action="store_true", help="also parameters that go with a group's option, as a network's layers")
    parser.add_argument("--csv", action="store_true", help="a table for other programs: a row per run, values as they were logged")
    arguments = parser.parse_args()
    if arguments.run and arguments.latest is not None:
        parser.error("name runs or give --latest, not both")
    arguments.latest = LATEST if arguments.latest is None else arguments.latest
    if arguments.latest < 1:
        parser.error(f"--latest {arguments.latest}: expected 1 or more")
    return arguments


def named(wanted: list[str], runs: list[TrackedRun]) -> list[TrackedRun]:
    """Return each wanted run once, in the given order; say which one was taken where several have that name."""
    found: dict[str, TrackedRun] = {}
    for words in wanted:
        run, others = find(words, runs)
        found[run.id] = run
        if others:
            print(f"{len(others) + 1} runs are named {words}; this is the latest, {told([run])}; by id: {told(others)}", file=sys.stderr)
    return list(found.values())


# What is told


def sections(runs: list[TrackedRun], everything: bool) -> list[Section]:
    """Return what the terminal shows; everything: also the parameters that go with a group's option."""
    found = [
        Section("runs", overview(runs), [data_sentence(runs), code_sentence(runs)] if len(runs) > 1 else []),
        parameters(runs, everything),
        metrics(runs),
    ]
    return [section for section in found if section.rows or section.notes]


def overview(runs: list[TrackedRun]) -> dict[str, list[str]]:
    rows = {
        "id": [run.id[:SHORT] for run in runs],
        "state": [f"{run.state}, restored" if run.restored else run.state for run in runs],
        "started": [f"{run.start:%Y-%m-%d %H:%M}" for run in runs],
        "took": [NONE if run.seconds is None else str(timedelta(seconds=round(run.seconds))) for run in runs],
        "data": [" ".join(filter(None, [run.params.get("dataset.name"), short(run.tags.get("data_digest"))])) for run in runs],
        "code": [short(run.tags.get("commit")) + (" dirty" if run.tags.get("dirty") == "true" else "") for run in runs],
    }
    for name in ("torch", "machine"):  # which can give other weights from equal code and data
        if len(set(values := tags(runs, name))) > 1:
            rows[name] = [value or NONE for value in values]
    return rows


def short(digest: str | None) -> str:
    return NONE if digest is None else digest if " " in digest else digest[:SHORT]  # "not in git" stays whole


def data_sentence(runs: list[TrackedRun]) -> str:
    if same_data(runs):
        return "all trained on the same data"
    if None in tags(runs, "data_digest"):
        return "not every run says what data it was trained on: accuracies may not compare"
    return "trained on different data: accuracies do not compare"


def code_sentence(runs: list[TrackedRun]) -> str:
    commits = set(tags(runs, "commit"))
    if commits & {None, "not in git"}:
        return "not every run says by what code it was trained"
    if len(commits) > 1:
        two = [short(commit) for commit in dict.fromkeys(tags(runs, "commit"))][:2]
        return f"trained at different commits: the code may differ (git diff {' '.join(two)} -- pipeline)"
    if "true" in tags(runs, "dirty"):
        return "all trained at the same commit, but with changes that were not committed: the code may differ"
    return "all trained by the same code"


def parameters(runs: list[TrackedRun], everything: bool) -> Section:
    found = differing(runs)
    equal = equal_params(runs)
    if len(runs) == 1:
        return Section("parameters", {}, [f"{equal} parameters; name another run to see what differs"])
    notes = [f"{equal} parameters are equal{'' if found else ', none differs'}"]
    hidden = [] if everything else implied(found)
    for group in dict.fromkeys(key.partition(".")[0] for key in hidden):
        count = sum(key.startswith(f"{group}.") for key in hidden)
        options = " or ".join(dict.fromkeys(name for name in found[f"{group}.name"] if name))
        notes.append(f"{count} more of {group} go with {options}: --all shows them")
    rows = {key: [NONE if value is None else value for value in values] for key, values in found.items() if key not in hidden}
    return Section("parameters that differ", rows, notes)


def metrics(runs: list[TrackedRun]) -> Section:
    found = figures(runs)
    rows = {figure.label: [cell(figure, i) for i in range(len(runs))] for figure in found}
    kept = [kept_epoch(run) for run in runs]
    if any(kept):
        rows = {"kept epoch": [NONE if epoch is None else f"{epoch} of {run.epochs}" for run, epoch in zip(runs, kept, strict=True)]} | rows
    return Section("metrics", rows, list(metric_sentences(runs, found)))


def metric_sentences(runs: list[TrackedRun], found: list[Figure]) -> Iterator[str]:
    monitors = {run.params["training.monitor"] for run in runs if kept_epoch(run) is not None}
    if monitors:
        by = monitors.pop() if len(monitors) == 1 else "each run's training.monitor"
        yield f"kept are the weights of the epoch with the best {by}; test figures are theirs"
    if unequal := incomparable(runs):
        yield f"trained with different losses or augmentations: {', '.join(sorted(unequal))} do not compare"
    if any(figure.leaders for figure in found):
        yield f"@ epoch; {MARK.strip()} best run{'' if same_data(runs) else ' on the same data'}"


def cell(figure: Figure, i: int) -> str:
    value, epoch = figure.values[i], figure.epochs[i]
    if value is None:
        return NONE
    return number(value) + (f" @{epoch}" if epoch is not None else "") + (MARK if i in figure.leaders else "")


def number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.4f}"


# How it is laid out


def rendered(runs: list[TrackedRun], told_sections: list[Section], width: int) -> str:
    """Return the sections as text of that width: a column per run, or a line per run where these are many."""
    console = Console(width=width, highlight=False)
    label = max(cell_len(key) for section in told_sections for key in section.rows)
    room = (width - label) // len(runs) - GAP
    side_by_side = len(runs) <= MOST_SIDE_BY_SIDE and room >= NARROWEST
    with console.capture() as captured:  # to be printed by print: rich exits with 1 when its reader has seen enough
        for section in told_sections:
            console.print(Text(section.title, "bold"))
            for note in section.notes:
                console.print(Text(note, "italic"))
            tables = [keys_down(section, headings(runs), label, room)] if side_by_side else runs_down(section, headings(runs), width)
            for shown in tables:
                console.print(shown)
            console.print()
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def headings(runs: list[TrackedRun]) -> list[str]:
    """Return the runs' names, with the beginning of the id where two are named the same."""
    names = [run.name for run in runs]
    return [f"{run.name} {run.id[:SHORT]}" if names.count(run.name) > 1 else run.name for run in runs]


def keys_down(section: Section, names: list[str], label: int, room: int) -> Table:
    """Return a table with a column per run, each at most `room` wide."""
    widest = max(cell_len(text) for text in (*names, "m" * LONGEST))
    found = frame([("", label), *((name, min(room, widest)) for name in names)])
    for key, cells in section.rows.items():
        found.add_row(key, *map(styled, shortened(cells, max(room, LONGEST))))
    return found


def runs_down(section: Section, names: list[str], width: int) -> Iterator[Table]:
    """Yield tables with a line per run, as many as it takes for the columns to find place."""
    label = max(map(cell_len, names))
    columns = [(broken(key), shortened(cells, LONGEST)) for key, cells in section.rows.items()]
    sized = [(head, max(map(cell_len, [*head.split("\n"), *cells])), cells) for head, cells in columns]
    for group in packed(sized, width - label):
        found = frame([("", label), *((head, wide) for head, wide, _ in group)])
        for i, name in enumerate(names):
            found.add_row(name, *(styled(cells[i]) for _, _, cells in group))
        yield found


Column = tuple[str, int, list[str]]  # heading, width, a cell per run


def packed(columns: list[Column], width: int) -> Iterator[list[Column]]:
    """Yield the columns in groups that are at most so wide, or a single column."""
    group: list[Column] = []
    for column in columns:
        if group and sum(wide + GAP for _, wide, _ in [*group, column]) > width:
            yield group
            group = []
        group.append(column)
    if group:
        yield group


def frame(columns: list[tuple[str, int]]) -> Table:
    found = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False)
    for head, width in columns:
        found.add_column(Text(head), width=width, overflow="fold")
    return found


def styled(text: str) -> Text:
    return Text(text, "green" if text.endswith(MARK) else "")


def broken(key: str) -> str:
    """Return a key on several lines, for the head of a narrow column."""
    return key.replace("/", "/\n").replace(".", ".\n").replace(" ", "\n")


def shortened(cells: list[str], most: int) -> list[str]:
    """Cut long cells of one row to a part that shows how they differ."""
    if max(map(len, cells)) <= most:
        return cells
    values = set(cells) - {NONE}
    letters = zip(*values, strict=False) if len(values) > 1 else ()
    start = max(0, sum(1 for _ in takewhile(lambda place: len(set(place)) == 1, letters)) - most // 3)
    end = start + most - 2
    return [cell if cell == NONE else "…" * bool(start) + cell[start:end] + "…" * (len(cell) > end) for cell in cells]


if __name__ == "__main__":
    sys.exit(exit_code("compare", main))
