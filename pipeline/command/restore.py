"""Give a run back from its id alone: python -m pipeline.command.restore RUN [--check] [--to FOLDER]"""

import re
import shlex
import sys
from argparse import Namespace
from pathlib import Path

from pipeline.config.errors import PipelineError
from pipeline.config.paths import WORKSPACE
from pipeline.config.process import parser_of, run_command
from pipeline.config.wording import counted
from pipeline.tracking.comparison import described, find, listed
from pipeline.tracking.record import Record, environment_differences, environment_here, record_of, unequal
from pipeline.tracking.worktree import RESTORED, Worktree

SHOWN = 6  # differences of the environment on one line
SHORT = 8  # characters of a run's id in the name of its folder


def main() -> None:
    """Make a git worktree of a run's commit, with its uncommitted changes, config, data and network.

    Data and network are found by their digests, in DVC's cache, the project or its live runs; what is missing is said, with the way to
    get it. What differs in the environment is listed. With --check the network is evaluated anew, by the run's own code, and its test
    metrics must equal the logged ones to the bit. The exit code is 0 if all of that is so, 1 if not. Called again, it looks again."""
    arguments = _arguments()
    record = _record(arguments.run)
    folder = (arguments.to or WORKSPACE / RESTORED / re.sub(r"\W", "_", record.run.id[:SHORT])).resolve()
    if not arguments.run_changes:
        require_own_changes(record, folder)
    missing = restore(record, Worktree(folder, WORKSPACE), arguments.check)
    if missing:
        raise PipelineError("; ".join(missing))


def _arguments() -> Namespace:
    parser = parser_of(main)
    parser.add_argument("run", metavar="RUN", help="a run's name, its id, or an unambiguous beginning of its id")
    parser.add_argument("--check", action="store_true", help="evaluate its network anew and compare the test metrics to the bit")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help=f"where to (default: {RESTORED}/ID)")
    parser.add_argument(
        "--run-changes", action="store_true", help="run uncommitted changes that a server has, after you have looked at them"
    )
    return parser.parse_args()


def _record(wanted: str) -> Record:
    from pipeline.config.compose import compose, parse, resolved
    from pipeline.tracking.faults import store_may_be_away
    from pipeline.tracking.store import Store
    from pipeline.tracking.sync import sync_waiting

    store = Store(parse(resolved(compose(WORKSPACE / "conf"))).tracking, WORKSPACE)
    for note in sync_waiting(WORKSPACE):
        print(note, file=sys.stderr)
    with store_may_be_away(store.uri):
        run, others = find(wanted, listed(store))
        if others:
            print(f"{len(others) + 1} runs are named {wanted}; this is the latest; by id: {described(others)}", file=sys.stderr)
        return record_of(store, run)


def require_own_changes(record: Record, folder: Path) -> None:
    """Raise PipelineError for uncommitted changes that a server has, and keep them beside the folder, to be looked at.

    Restoring runs the run's code, and whoever writes to the server could have written these."""
    if record.patch is None or record.is_local:
        return
    kept = folder.with_name(f"{folder.name}.patch")
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(record.patch)
    raise PipelineError(
        f"the run has changes that were not committed, and restoring would run them: look at {_typed(kept)}, then add --run-changes"
    )


def restore(record: Record, worktree: Worktree, is_checked: bool) -> list[str]:
    """Restore a run and print how it went; return what is missing or unequal."""
    run, missing = record.run, []
    print(f"run:         {described([run])}, {run.state}")
    if worktree.is_of(run.id):
        print("code:        restored before, and left as it is")
    else:
        code, config = worktree.create(record)
        print(f"code:        {code}\nconfig:      {config}")
    if record.unknown_changes:
        print(f"note:        {record.unknown_changes}: the code may differ")
    data, has_data = worktree.find_data(run.tags.get("data_digest", "unknown"))
    print(f"data:        {data}")
    if not has_data:
        missing.append(f"the data is not there: {_how_to_get_data(record, worktree.folder)}")
    bundle, has_bundle = _bundle(record, worktree)
    print(f"network:     {bundle}")
    if not has_bundle and "bundle" in run.tags:
        missing.append(
            f"the network is not there: `dvc repro train` in {_typed(worktree.folder)} trains it, or brings it from DVC's cache of runs"
        )
    print(f"environment: {_environment(record)}")
    if is_checked:
        missing += [] if missing else _check(record, worktree, has_bundle)
    print(f"go on:       cd {_typed(worktree.folder)} and type `dvc repro`")
    return missing


def _typed(path: Path) -> str:
    """Return a path as a person in the project's root would type it."""
    return shlex.quote(str(path.relative_to(WORKSPACE) if path.is_relative_to(WORKSPACE) else path))


def _bundle(record: Record, worktree: Worktree) -> tuple[str, bool]:
    if digest := record.run.tags.get("bundle"):
        return worktree.find_bundle(digest)
    return f"none: the run is {record.run.state} and has not ended with one", False


def _how_to_get_data(record: Record, folder: Path) -> str:
    sources = record.config["dataset"]["sources"]
    if sources["folder"]:
        photos = _typed(folder / sources["folder"])
        return f"put the photos back into {photos}, then type `dvc repro resize` in {_typed(folder)}; or `dvc pull` there"
    return f"`dvc repro resize` in {_typed(folder)} fetches and prepares it again; or `dvc pull` there"


def _environment(record: Record) -> str:
    told = environment_differences(record, *environment_here())
    known = counted(len(record.packages), "package") if record.packages else "the packages were not logged"
    if not told:
        return f"equal (Python, torch, device, {known})"
    return ", ".join(told[:SHOWN]) + (f" and {len(told) - SHOWN} more" if len(told) > SHOWN else "")


def _check(record: Record, worktree: Worktree, has_bundle: bool) -> list[str]:
    if not has_bundle or not record.test:
        return ["there is nothing to check: the run has " + ("no network" if not has_bundle else "no test metrics, it was not evaluated")]
    told = unequal(record.test, worktree.evaluate(record.tta))
    equal = f"{counted(len(record.test), 'test metric')} equal to the bit"
    print(f"check:       {'; '.join(told) or equal}")
    return ["the test metrics differ from the logged ones"] if told else []


if __name__ == "__main__":
    run_command("restore", main)
