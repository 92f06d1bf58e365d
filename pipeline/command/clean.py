"""Free what nothing refers to any more, never without asking: python -m pipeline.command.clean [--yes]"""

import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.config.paths import WORKSPACE
from pipeline.config.process import parser_of, run_command
from pipeline.config.wording import counted
from pipeline.tracking.unreferenced import Known, Unreferenced, in_use, unreferenced

ANSWER = "yes"


def main() -> None:
    """Show, with sizes, the checkpoints of trainings that have finished or that MLflow does not know, live runs and restored worktrees
    whose run was deleted in MLflow, and DVC's page of plots. They are removed only after --yes, or "yes" typed at the question.

    Data, downloads, DVC's cache, the MLflow store, and checkpoints from which a training can resume are not touched. `make clean`
    removes all live runs and checkpoints, without a question."""
    parser = parser_of(main)
    parser.add_argument("--yes", action="store_true", help="remove what is shown, without a question")
    is_agreed = parser.parse_args().yes
    found = unreferenced(WORKSPACE, _known())
    if not found:
        print("nothing to free: everything is still referred to")
        return
    for line in listing(found, WORKSPACE):
        print(line)
    if is_agreed or _agrees():
        print(freed(found, WORKSPACE))
    else:
        print("nothing was removed; --yes removes what is shown")


def _known() -> Known:
    from pipeline.config.compose import compose, parse, resolved
    from pipeline.tracking.faults import store_may_be_away
    from pipeline.tracking.store import Store
    from pipeline.tracking.sync import sync_waiting

    store = Store(parse(resolved(compose(WORKSPACE / "conf"))).tracking, WORKSPACE)
    notes = sync_waiting(WORKSPACE)
    for note in notes:
        print(note, file=sys.stderr)
    with store_may_be_away(store.uri):
        return Known.of(store, is_complete=not notes)


def listing(found: list[Unreferenced], root: Path) -> list[str]:
    """Return a line per folder, with its size and why it can go, and one with the sum."""
    sizes = [item.bytes for item in found]
    names = [str(item.path.relative_to(root)) for item in found]
    width = max(map(len, names))
    lines = [f"{_megabytes(size):>10}  {name:<{width}}  {item.why}" for size, name, item in zip(sizes, names, found, strict=True)]
    return [*lines, f"{_megabytes(sum(sizes)):>10}  in {counted(len(found), 'folder')}"]


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _agrees() -> bool:
    """Ask, where somebody can answer."""
    return sys.stdin.isatty() and input(f"type {ANSWER} to remove them: ").strip() == ANSWER


def freed(found: list[Unreferenced], root: Path) -> str:
    """Remove the folders; return what was done. One that a process has begun to use since stays."""
    removed = [item for item in found if not in_use(item.path)]
    size = sum(item.bytes for item in removed)
    for item in removed:
        shutil.rmtree(item.path)
    subprocess.run(["git", "worktree", "prune"], cwd=root, capture_output=True, check=False)  # of restored ones
    kept = f"; {counted(len(found) - len(removed), 'folder')} in use by now stayed" if len(removed) < len(found) else ""
    return f"freed {_megabytes(size)} in {counted(len(removed), 'folder')}{kept}"


if __name__ == "__main__":
    run_command("clean", main)
