"""Runs compared in a terminal: tables that fit its width, a column per run or, where these are many, a line per run."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.tracking.tracked_runs import SHORT, TrackedRun

NONE = "–"
MARK = " *"  # behind the best value
MOST_SIDE_BY_SIDE = 4  # runs; of more, each has a line of its own
NARROWEST = 12  # characters of a column that holds a figure with its epoch
LONGEST = 24  # characters of a value; longer ones are cut to where they differ
GAP = 2  # blanks between columns


@dataclass(frozen=True)
class Section:
    title: str
    rows: dict[str, list[str]]  # label -> a cell per run
    notes: list[str] = field(default_factory=list)  # sentences above the rows


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
