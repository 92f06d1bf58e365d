"""Runs side by side in pictures, on one page: python -m pipeline.command.wall [RUN…] [--only WORDS…] [--to FILE]"""

import base64
import sys
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment

from pipeline.bundle import TRAINED_WITH
from pipeline.command.compare import named
from pipeline.config.errors import DataError
from pipeline.config.paths import WORKSPACE
from pipeline.config.process import parser_of, run_command
from pipeline.config.wording import counted
from pipeline.tracking.comparison import SHORT, TrackedRun, differing, implied, latest, listed, with_curves
from pipeline.tracking.events import PICTURES
from pipeline.tracking.pictures import Picture, as_webp, pictures_of

if TYPE_CHECKING:
    from pipeline.tracking.store import Store

FILE = WORKSPACE / "runs" / "wall.html"
LATEST = 5  # runs, if none are named: a page of some 5 MB
DIFFERENCES = 6  # parameters that differ, shown beside a run
LAST = "last"

Found = dict[tuple[str, int], Picture]  # by key and step


@dataclass(frozen=True)
class Table:
    """A table of pictures: a row for each run."""

    title: str
    columns: list[str]
    rows: list[list[tuple[str, str] | None]]  # data URI and caption; None: the run has no such picture


def main() -> None:
    """Write a page that shows the pictures of runs side by side: the first layer's filters, with a column for each of some epochs, and the
    pictures of the trained networks, with a column for each. It is one file without anything from the network.

    A RUN is a run's name, its id, or an unambiguous beginning of its id, as for compare. Which epochs: explain.frames."""
    arguments = _arguments()
    from pipeline.config.compose import compose, parse, resolved
    from pipeline.tracking.faults import store_may_be_away
    from pipeline.tracking.store import Store
    from pipeline.tracking.sync import sync_waiting

    cfg = parse(resolved(compose(WORKSPACE / "conf")))
    store = Store(cfg.tracking, WORKSPACE)
    for note in sync_waiting(WORKSPACE):
        print(note, file=sys.stderr)
    with store_may_be_away(store.uri):
        runs = named(arguments.run, listed(store)) if arguments.run else latest(store, LATEST)
        runs = [with_curves(store, run) for run in runs]
        pictures = [{(found.key, found.step): found for found in pictures_of(store, run.id)} for run in runs]
        wanted = chosen(pictures, arguments.only)
        tables = [*over_epochs(store, runs, pictures, wanted, cfg.explain.frames), of_networks(store, runs, pictures, wanted)]
    arguments.to.parent.mkdir(parents=True, exist_ok=True)
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        Path(__file__).with_suffix(".html").read_text()
    )
    content = {"runs": described(runs), "tables": [table for table in tables if table.columns]}
    arguments.to.write_text(template.render(content), encoding="utf-8", errors="backslashreplace")
    print(f"{counted(len(runs), 'run')}, {arguments.to.stat().st_size / 1e6:.1f} MB: {arguments.to}")


def _arguments() -> Namespace:
    """Parse the command line."""
    parser = parser_of(main)
    parser.add_argument("run", nargs="*", metavar="RUN", help=f"a run's name, its id, or a beginning of it (default: the latest {LATEST})")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORDS", help="pictures whose name has one of these (conv2, feature_maps)")
    parser.add_argument("--to", type=Path, default=FILE, help="the page (default: runs/wall.html)")
    return parser.parse_args()


def chosen(pictures: list[Found], only: list[str]) -> list[str]:
    """Return the keys of the pictures to show. Raises DataError where there are none."""
    keys = sorted({key for found in pictures for key, _ in found})
    wanted = [key for key in keys if not only or any(words in key for words in only)]
    if not keys:
        raise DataError("none of these runs has pictures in MLflow; train with `dvc repro`, which draws them")
    if not wanted:
        raise DataError(f"no picture's name has {' or '.join(only)}; there are {', '.join(keys)}")
    return wanted


def over_epochs(store: "Store", runs: list[TrackedRun], pictures: list[Found], keys: list[str], epochs: list[int]) -> list[Table]:
    """Return a table for each key whose pictures were logged during training: the wanted epochs that some run has, and each run's last."""
    tables = []
    for key in [key for key in keys if not key.startswith(f"{PICTURES}/")]:
        steps = [sorted(step for other, step in found if other == key) for found in pictures]
        columns = sorted({step for several in steps for step in several[:-1]} & set(epochs))
        rows = []
        for run, found, several in zip(runs, pictures, steps, strict=True):
            shown = [found.get((key, step)) if step in several[:-1] else None for step in columns] + [
                found.get((key, max(several, default=0)))
            ]
            rows.append([drawn(store, run, one, f"epoch {one.step}" if one else "") for one in shown])
        tables.append(Table(key, [*(f"epoch {step}" if step else "before training" for step in columns), LAST], rows))
    return tables


def of_networks(store: "Store", runs: list[TrackedRun], pictures: list[Found], keys: list[str]) -> Table:
    """Return the table of the pictures of trained networks, a column for each name."""
    of_network = [key for key in keys if key.startswith(f"{PICTURES}/")]
    rows = [
        [drawn(store, run, found.get((key, 0)), key.removeprefix(f"{PICTURES}/")) for key in of_network]
        for run, found in zip(runs, pictures, strict=True)
    ]
    return Table("the trained networks", [key.removeprefix(f"{PICTURES}/") for key in of_network], rows)


def drawn(store: "Store", run: TrackedRun, picture: Picture | None, label: str) -> tuple[str, str] | None:
    """Return a picture as a data URI, with its caption."""
    if picture is None:
        return None
    return f"data:image/webp;base64,{base64.b64encode(as_webp(store, run.id, picture)).decode()}", f"{run.name}: {label}"


def described(runs: list[TrackedRun]) -> list[dict[str, object]]:
    """Return what stands beside each run: its name, id, start, test accuracy, and some of what differs in the training."""
    params = differing(runs)
    hidden = set(implied(params)) | {key for key in params if key.endswith(("._target_", "name"))}
    shown = [key for key in params if key not in hidden and key.partition(".")[0] in TRAINED_WITH][:DIFFERENCES]
    return [
        {
            "name": run.name,
            "lines": [
                f"{run.id[:SHORT]}, {run.start:%Y-%m-%d %H:%M}",
                f"{run.params.get('model.name', 'a network')} on {run.params.get('dataset.name', 'images')}",
                *(f"test accuracy {value:.4f}" for value in list(run.curves.get("test/accuracy", {}).values())[-1:]),
                *(f"{key}: {value}" for key in shown if (value := params[key][i]) is not None),
            ],
        }
        for i, run in enumerate(runs)
    ]


if __name__ == "__main__":
    run_command("wall", main)
