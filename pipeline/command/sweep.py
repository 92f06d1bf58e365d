"""Search the config for what is best: python -m pipeline.command.sweep start NAME 'optimizer.lr=tag(log,interval(1e-4,1e-1))'"""

import math
import re
import shutil
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.errors import ConfigError
from pipeline.config.paths import WORKSPACE, Places
from pipeline.config.process import parser_of, positive, run_command
from pipeline.config.schema import Config

if TYPE_CHECKING:
    from pipeline.search.ledger import Ledger
    from pipeline.search.storage import Storage
    from pipeline.search.task import Task
    from pipeline.search.tracked import Folders
    from pipeline.search.trial import TrialProcess

RUNS = "runs"  # folder of a sweep's trials, below the project's root

# What a trial's process has imported before it starts.
PRELOADED = (
    "pipeline.stage.train",
    "pipeline.training.fit",
    "pipeline.bundle",
    "pipeline.tracking.run",
    "pipeline.weights.start",
    "pipeline.config.live",
    "pipeline.config.sweep",
    "pipeline.config.dry_run",
)


def main() -> None:
    """Train at many points of a search space; whatever happens to a trial, the sweep goes on, and nothing that has ended is lost.

    A WORD is key=values as on Hydra's command line: model=lenet,cnn  training.batch_size=range(16,65,16)
    'model.units=int(interval(20,200))'  'optimizer.lr=tag(log,interval(1e-4,1e-1))'. conf/search/ holds searches with names,
    and says how each setting is meant."""
    arguments = _arguments()
    from pipeline.search.ledger import Ledger
    from pipeline.search.storage import Storage, is_there, url_of
    from pipeline.search.study import names_in

    url = url_of(Places(None).home, arguments.storage)
    if arguments.what != "start" and not is_there(url):
        raise ConfigError("no sweep has been started here; `start NAME key=values` begins one")
    storage = Storage(url)
    if arguments.what == "start":
        ledger = _started(arguments, storage)
    elif arguments.name is None:
        print("\n".join(names_in(storage)))
        return
    else:
        ledger = Ledger.open(storage, arguments.name)
    commands = {"start": _run, "resume": _resume, "status": _status, "retry": _retry, "stop": _stop, "best": _best, "report": _report}
    commands[arguments.what](ledger, arguments)


def _arguments() -> Namespace:
    parser = parser_of(main)
    parser.add_argument("--storage", metavar="URL", help="database (default: sweeps.db); PostgreSQL and MySQL are not tested yet")
    commands = parser.add_subparsers(dest="what", metavar="start|resume|status|report|best|retry|stop")
    start = _command(commands.add_parser("start", help="begin a sweep, or join one that another machine has begun by the same words"))
    start.add_argument("--search", default="default", metavar="FILE", help="conf/search/FILE.yaml (default: default, which varies nothing)")
    start.add_argument("--sampler", help="grid, random, tpe or qmc")
    start.add_argument("--pruner", help="none, median, halving or hyperband")
    start.add_argument("--trials", type=positive, help="points")
    start.add_argument("--time", help="90s, 30m or 2h, after which no trial begins")
    start.add_argument("--seed", type=int, help="of what is drawn")
    start.add_argument("--seeds", type=positive, help="trainings of each point, by the seeds 0, 1, …; their mean is its score")
    start.add_argument("--folds", type=positive, help="the same, each with another fold of the images as validation split")
    start.add_argument("--patience", type=positive, help="points without a better one, after which none begins")
    start.add_argument("--against", help="parameters or seconds: a second objective, which is to be small")
    start.add_argument("words", nargs="*", metavar="WORD", help="key=values to search, key=value for all trials")
    resume = _command(commands.add_parser("resume", help="go on after a stop or a kill"))
    for command in (start, resume):
        command.add_argument("--workers", type=positive, default=1, metavar="N", help="trials at once (default: 1)")
    status = commands.add_parser("status", help="a line for each point, and what is left; without NAME: the sweeps")
    status.add_argument("name", nargs="?", metavar="NAME")
    retry = _command(commands.add_parser("retry", help="have failed points tried again; `resume` starts them"))
    retry.add_argument("points", nargs="*", type=int, metavar="POINT", help="as `status` numbers them (default: all that have failed)")
    _command(commands.add_parser("stop", help="end all processes of a sweep, on all machines; `resume` goes on"))
    _command(commands.add_parser("report", help="write what the sweep teaches as one HTML file, as its end does, too"))
    best = _command(commands.add_parser("best", help="print the command that repeats the best point"))
    best.add_argument("--apply", action="store_true", help="write its values to conf/local/overrides.yaml")
    arguments, rest = parser.parse_known_args()
    if rest and (arguments.what != "start" or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if arguments.what is None:
        parser.error("say what to do: start, resume, status, report, best, retry or stop")
    if rest:
        arguments.words += rest  # words behind an option, which argparse does not take for more of those before it
    return arguments


def _command(parser: ArgumentParser) -> ArgumentParser:
    parser.add_argument("name", type=_name, metavar="NAME", help="of the sweep")
    return parser


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][\w-]{0,63}", text):
        raise ArgumentTypeError(f"{text!r} is no name: letters, digits, _ and - only, at most 64")
    return text


def _started(arguments: Namespace, storage: "Storage") -> "Ledger":
    """Check what is to be searched, point by point where that is possible, and make or join the sweep."""
    from pipeline.config.live import composing
    from pipeline.config.search import read_search
    from pipeline.config.search_points import as_it_stands, check_points
    from pipeline.search.ledger import Ledger

    given = {
        key: value
        for key in ("sampler", "pruner", "trials", "time", "seed", "seeds", "folds", "patience", "against")
        if (value := getattr(arguments, key)) is not None
    }
    with composing(WORKSPACE, []):
        search = read_search(WORKSPACE, arguments.search, arguments.words, given)
        cfg = check_points(search, WORKSPACE, _require)
        stands = as_it_stands(search, WORKSPACE)
    ledger = Ledger.create(storage, arguments.name, search, cfg.training.monitor, stands)
    if ledger.is_stopped:
        raise ConfigError(f"the sweep {ledger.name} has been stopped; `resume {ledger.name}` goes on")
    return ledger


def _require(cfg: Config) -> None:
    """Raise DataError for a config whose images are not prepared, ConfigError for one that needs several devices."""
    from pipeline.config.ranks import ranks_of
    from pipeline.dataset.manifest import Manifest

    Manifest.read(Places(None).source("prepared")).require(cfg)
    if ranks_of(cfg.training) > 1:
        raise ConfigError("a trial has one device: training.devices and training.nodes must be 1", "training.devices")


def _run(ledger: "Ledger", arguments: Namespace) -> None:
    from pipeline.config.compose import compose, parse, resolved
    from pipeline.search.tracked import run_tracked

    cfg = parse(resolved(compose(WORKSPACE / "conf", list(ledger.search.fixed))))
    folders, places = _folders(ledger), Places(None)
    if folds := ledger.search.settings.folds:
        from pipeline.search.folds import prepare_folds

        prepare_folds(cfg, folds, folders.trials, places.source("raw"), folders.prepared, places.home / "chunks")
    run_tracked(ledger, train_point, cfg, folders, arguments.workers, PRELOADED)


def _folders(ledger: "Ledger") -> "Folders":
    from pipeline.search.tracked import Folders

    places = Places(None)
    return Folders(places.home, places.home / RUNS / ledger.name, places.source("prepared"))


def train_point(task: "Task", process: "TrialProcess") -> tuple[float, ...]:
    """Train at one point as `python -m pipeline.stage.train` with its overrides would, in a trial's process; return its objectives."""
    from pipeline.config.cli import launch
    from pipeline.search.costs import costs_of
    from pipeline.search.folds import use_fold
    from pipeline.stage.train import train

    folder, scores = Path(RUNS, task.sweep, task.folder), list[tuple[float, ...]]()

    def work(cfg: Config, places: Places) -> None:
        use_fold(cfg, places.live or folder, places.home / RUNS / task.sweep)
        start = time.monotonic()
        score = train(cfg, places, process)
        seconds = time.monotonic() - start
        scores.append((math.nan if score is None else score, *costs_of(task, process, places.source("bundle"), seconds)))

    sys.argv = ["sweep", *task.words, f"hydra.run.dir={folder}"]
    launch("train", work)
    return scores[0]


def _resume(ledger: "Ledger", arguments: Namespace) -> None:
    ledger.stop(False)
    _run(ledger, arguments)


def _retry(ledger: "Ledger", arguments: Namespace) -> None:
    points = ledger.retry(arguments.points)
    print(f"tried again: {', '.join(map(str, points)) or 'none has failed'}; `resume {ledger.name}` starts them")


def _stop(ledger: "Ledger", _: Namespace) -> None:
    ledger.stop(True)
    print(f"{ledger.name} is told to stop; what has ended is kept, and `resume {ledger.name}` goes on")


def _status(ledger: "Ledger", _: Namespace) -> None:
    from rich.console import Console

    from pipeline.search.status import summary, table

    Console(width=shutil.get_terminal_size(fallback=(160, 40)).columns).print(table(ledger))
    print(summary(ledger))


def _best(ledger: "Ledger", arguments: Namespace) -> None:
    from pipeline.search.status import command_of, score_of

    best = ledger.best()
    if best is None:
        raise ConfigError(f"no trial of {ledger.name} is complete yet; `status {ledger.name}` shows them")
    for row in ledger.front() if ledger.search.settings.against else [best]:
        several = f" over {len(row.scores)} trainings" if len(row.scores) > 1 else ""
        print(f"# {ledger.monitor} {score_of(ledger, row, '.6g')}{several}, trial {row.number}\n{command_of(row)}")
    if arguments.apply:
        for line in apply(WORKSPACE, best.words):
            print(line)


def _report(ledger: "Ledger", _: Namespace) -> None:
    from pipeline.search.tracked import report_of

    print(f"written to {Places(None).show(report_of(ledger, _folders(ledger)))}")


def apply(root: Path, words: Sequence[str]) -> Iterator[str]:
    """Write overrides to conf/local/overrides.yaml and recompose params.yaml; yield what changed. If that fails, the file is restored."""
    from pipeline.config.compose import compose, options, resolved
    from pipeline.config.locate import name_of
    from pipeline.config.sync import configure, override
    from pipeline.config.tree import get
    from pipeline.config.yaml_nodes import LOCAL

    yield from configure(root, in_experiment=False)  # else hand edits of params.yaml would later be lifted over this
    tree = resolved(compose(root / "conf", list(words)))
    chosen = {key: text for key, _, text in (word.partition("=") for word in words) if options(root / "conf", key)}
    told = override(root, chosen, {name_of(word): get(tree, name_of(word)) for word in words if name_of(word) not in chosen})
    yield f"written to {LOCAL}: {' '.join(words)}"
    yield from told


if __name__ == "__main__":
    run_command("sweep", main)
