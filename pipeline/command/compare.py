"""Show what differs between runs: python -m pipeline.command.compare [RUN…] [--latest N] [--all] [--csv]"""

import csv
import shutil
import sys
from argparse import Namespace
from collections.abc import Iterator
from datetime import timedelta

from pipeline.config.paths import WORKSPACE
from pipeline.config.process import parser_of, run_command
from pipeline.config.wording import counted
from pipeline.tracking.comparison import (
    SHORT,
    Figure,
    TrackedRun,
    described,
    differing,
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
    with_curves,
)
from pipeline.tracking.paired_runs import answers, difference_section, seed_sentences
from pipeline.tracking.tables import MARK, NONE, Section, rendered

LATEST = 10  # runs, if none are named


def main() -> None:
    """Print what differs between runs in data, code and parameters, their best and last metrics, and whether the best is really better.

    A RUN is a run's name (as in `dvc exp show`), its id, or an unambiguous beginning of its id. Parameters are named as in
    `dvc params diff`."""
    arguments = _arguments()
    from pipeline.config.compose import compose, parse, resolved
    from pipeline.tracking.faults import store_may_be_away
    from pipeline.tracking.store import Store
    from pipeline.tracking.sync import sync_waiting

    store = Store(parse(resolved(compose(WORKSPACE / "conf"))).tracking, WORKSPACE)
    for note in sync_waiting(WORKSPACE):
        print(note, file=sys.stderr)
    with store_may_be_away(store.uri):
        runs = named(arguments.run, listed(store)) if arguments.run else latest(store, arguments.latest)
        runs = [with_curves(store, run) for run in runs]
        said = [] if arguments.csv else [answers(store, run) for run in runs]
    if arguments.csv:
        rows = table(runs)
        writer = csv.DictWriter(sys.stdout, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    else:
        width = shutil.get_terminal_size(fallback=(120, 40)).columns
        print(rendered(runs, [*sections(runs, arguments.all), *filter(None, [difference_section(runs, said)])], width), end="")


def _arguments() -> Namespace:
    parser = parser_of(main)
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
    """Return the wanted runs in the given order, each once; print which one was chosen where several share a name."""
    found: dict[str, TrackedRun] = {}
    for words in wanted:
        run, others = find(words, runs)
        found[run.id] = run
        if others:
            print(
                f"{len(others) + 1} runs are named {words}; this is the latest, {described([run])}; by id: {described(others)}",
                file=sys.stderr,
            )
    return list(found.values())


def sections(runs: list[TrackedRun], everything: bool) -> list[Section]:
    """Return what the terminal shows. everything: also parameters implied by a group's option."""
    found = [
        Section("runs", overview(runs), [data_sentence(runs), code_sentence(runs)] if len(runs) > 1 else []),
        parameters(runs, everything),
        metrics(runs),
    ]
    return [section for section in found if section.rows or section.notes]


def overview(runs: list[TrackedRun]) -> dict[str, list[str]]:
    """Return label -> a cell per run: identity, state, times, data and code."""
    rows = {
        "id": [run.id[:SHORT] for run in runs],
        "state": [f"{run.state}, restored" if run.restored else run.state for run in runs],
        "started": [f"{run.start:%Y-%m-%d %H:%M}" for run in runs],
        "took": [NONE if run.seconds is None else str(timedelta(seconds=round(run.seconds))) for run in runs],
        "data": [" ".join(filter(None, [run.params.get("dataset.name"), short(run.tags.get("data_digest"))])) for run in runs],
        "code": [short(run.tags.get("commit")) + (" dirty" if run.tags.get("dirty") == "true" else "") for run in runs],
    }
    for name in ("torch", "machine", "device"):  # may change the weights of equal code and data
        if len(set(values := tags(runs, name))) > 1:
            rows[name] = [value or NONE for value in values]
    return rows


def short(digest: str | None) -> str:
    """Return the first 8 characters of a digest or commit, a dash for None."""
    return NONE if digest is None else digest if " " in digest else digest[:SHORT]  # "not in git" stays whole


def data_sentence(runs: list[TrackedRun]) -> str:
    """Return a sentence on whether the runs' accuracies are comparable."""
    if same_data(runs):
        return "all trained on the same data"
    if None in tags(runs, "data_digest"):
        return "not every run says what data it was trained on: accuracies may not compare"
    return "trained on different data: accuracies do not compare"


def code_sentence(runs: list[TrackedRun]) -> str:
    """Return a sentence on whether the runs were trained by the same code, with the git command that shows a difference."""
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
    """Return the parameters that differ, and the numbers of equal and implied ones."""
    found = differing(runs)
    equal = len({key for run in runs for key in run.params}) - len(found)
    if len(runs) == 1:
        return Section("parameters", {}, [f"{counted(equal, 'parameter')}; name another run to see what differs"])
    notes = [f"{counted(equal, 'parameter is', 'parameters are')} equal{'' if found else ', none differs'}"]
    hidden = [] if everything else implied(found)
    for group in dict.fromkeys(key.partition(".")[0] for key in hidden):
        count = sum(key.startswith(f"{group}.") for key in hidden)
        options = " or ".join(dict.fromkeys(name for name in found[f"{group}.name"] if name))
        notes.append(f"{count:,} more of {group} {'goes' if count == 1 else 'go'} with {options}: --all shows them")
    rows = {key: [NONE if value is None else value for value in values] for key, values in found.items() if key not in hidden}
    return Section("parameters that differ", rows, notes)


def metrics(runs: list[TrackedRun]) -> Section:
    """Return the runs' metrics with their epochs, and notes on how they compare."""
    found = figures(runs)
    rows = {figure.label: [_cell(figure, i) for i in range(len(runs))] for figure in found}
    kept = [kept_epoch(run) for run in runs]
    if any(kept):
        rows = {"kept epoch": [NONE if epoch is None else f"{epoch} of {run.epochs}" for run, epoch in zip(runs, kept, strict=True)]} | rows
    return Section("metrics", rows, list(_metric_sentences(runs, found)))


def _metric_sentences(runs: list[TrackedRun], found: list[Figure]) -> Iterator[str]:
    monitors = {run.params["training.monitor"] for run in runs if kept_epoch(run) is not None}
    if monitors:
        by = monitors.pop() if len(monitors) == 1 else "each run's training.monitor"
        yield f"kept are the weights of the epoch with the best {by}; test figures are theirs"
    if unequal := incomparable(runs):
        yield f"trained with different losses or augmentations: {', '.join(sorted(unequal))} do not compare"
    yield from seed_sentences(runs, next((figure for figure in found if figure.metric == "test/accuracy"), None))
    if any(figure.leaders for figure in found):
        yield f"@ epoch; {MARK.strip()} best run{'' if same_data(runs) else ' on the same data'}"


def _cell(figure: Figure, i: int) -> str:
    value, epoch = figure.values[i], figure.epochs[i]
    if value is None:
        return NONE
    return number(value) + (f" @{epoch}" if epoch is not None else "") + (MARK if i in figure.leaders else "")


def number(value: float) -> str:
    """Format a value with about four significant digits."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.4f}"


if __name__ == "__main__":
    run_command("compare", main)
