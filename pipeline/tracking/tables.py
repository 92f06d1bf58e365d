"""Tables of runs that fit the terminal: a column per run, or for many runs a line per run."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.tracking.comparison import SHORT, TrackedRun

NONE = "–"
MARK = " *"  # follows the best value
MOST_SIDE_BY_SIDE = 4  # runs; more get a line each
NARROWEST = 12  # characters of a column for a value with its epoch
LONGEST = 24  # characters of a value; longer ones are shortened to where they differ
GAP = 2  # blanks between columns


@dataclass(frozen=True)
class Section:
    """A table under a title."""

    title: str
    rows: dict[str, list[str]]  # label -> a cell per run
    notes: list[str] = field(default_factory=list)  # sentences above the rows


def rendered(runs: list[TrackedRun], sections: list[Section], width: int) -> str:
    """Render sections as text of at most `width` columns."""
    console = Console(width=width, highlight=False)
    label = max(cell_len(key) for section in sections for key in section.rows)
    room = (width - label) // len(runs) - GAP
    side_by_side = len(runs) <= MOST_SIDE_BY_SIDE and room >= NARROWEST
    with console.capture() as captured:  # printed by print: rich exits with 1 on a closed pipe
        for section in sections:
            console.print(Text(section.title, "bold"))
            for note in section.notes:
                console.print(Text(note, "italic"))
            tables = [_keys_down(section, headings(runs), label, room)] if side_by_side else _runs_down(section, headings(runs), width)
            for found in tables:
                console.print(found)
            console.print()
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def headings(runs: list[TrackedRun]) -> list[str]:
    """Return the runs' names, with an id prefix where names repeat."""
    names = [run.name for run in runs]
    return [f"{run.name} {run.id[:SHORT]}" if names.count(run.name) > 1 else run.name for run in runs]


def _keys_down(section: Section, names: list[str], label: int, room: int) -> Table:
    """Return a table with a column per run of at most `room` characters."""
    widest = max(cell_len(text) for text in (*names, "m" * LONGEST))
    found = _frame([("", label), *((name, min(room, widest)) for name in names)])
    for key, cells in section.rows.items():
        found.add_row(key, *map(_styled, shortened(cells, max(room, LONGEST))))
    return found


def _runs_down(section: Section, names: list[str], width: int) -> Iterator[Table]:
    """Yield tables with a line per run, as many as the columns need to fit."""
    label = max(map(cell_len, names))
    columns = [(_broken(key), shortened(cells, LONGEST)) for key, cells in section.rows.items()]
    sized = [(head, max(map(cell_len, [*head.split("\n"), *cells])), cells) for head, cells in columns]
    for group in _packed(sized, width - label):
        found = _frame([("", label), *((head, wide) for head, wide, _ in group)])
        for i, name in enumerate(names):
            found.add_row(name, *(_styled(cells[i]) for _, _, cells in group))
        yield found


_Column = tuple[str, int, list[str]]  # heading, width, a cell per run


def _packed(columns: list[_Column], width: int) -> Iterator[list[_Column]]:
    """Yield the columns in groups of at most this width, or of a single column."""
    group: list[_Column] = []
    for column in columns:
        if group and sum(wide + GAP for _, wide, _ in [*group, column]) > width:
            yield group
            group = []
        group.append(column)
    if group:
        yield group


def _frame(columns: list[tuple[str, int]]) -> Table:
    found = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False)
    for head, width in columns:
        found.add_column(Text(head), width=width, overflow="fold")
    return found


def _styled(text: str) -> Text:
    return Text(text, "green" if text.endswith(MARK) else "")


def _broken(key: str) -> str:
    """Break a key into lines, for the head of a narrow column."""
    return key.replace("/", "/\n").replace(".", ".\n").replace(" ", "\n")


def shortened(cells: list[str], most: int) -> list[str]:
    """Shorten the cells of a row to `most` characters around where they begin to differ."""
    if max(map(len, cells)) <= most:
        return cells
    values = set(cells) - {NONE}
    letters = zip(*values, strict=False) if len(values) > 1 else ()
    start = max(0, sum(1 for _ in takewhile(lambda place: len(set(place)) == 1, letters)) - most // 3)
    end = start + most - 2
    return [cell if cell == NONE else "…" * bool(start) + cell[start:end] + "…" * (len(cell) > end) for cell in cells]
