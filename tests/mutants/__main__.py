"""Plant every mutant, one at a time, and see whether the default tests fail: python -m tests.mutants [TEXT…]

TEXT: only mutants whose file or description contains it. Exits with 1 where the score is below the goal."""

import argparse
import importlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path

from tests.mutants.catalog import Mutant, catalog
from tests.project import ROOT
from tests.warm import forget_own_modules

GOAL, GOAL_OF_A_FOLDER = 0.95, 0.90  # shares of the mutants that are killed
TIMEOUT = 300  # seconds; a mutant that hangs its tests is killed too
PASSED, FAILED, INTERRUPTED = 0, 1, 2  # pytest's exit codes; a module that no longer imports gives the third
# Imported once, before each run of tests is forked: they take more time than the tests.
PRELOADED = ("pytest", "numpy", "torch", "lightning", "albumentations", "cv2", "scipy.stats", "hydra", "mlflow", "matplotlib.pyplot")


def main() -> None:
    """Run the catalog, print the score by folder and the survivors."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("text", nargs="*", help="part of a file's name or of a bug's description")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time (default: 2)")
    arguments = parser.parse_args()
    chosen = [mutant for mutant in catalog() if not arguments.text or any(text in f"{mutant.file} {mutant.bug}" for text in arguments.text)]
    preload()
    processes = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        copies = processes.SimpleQueue()
        for job in range(arguments.jobs):
            copies.put(copied(Path(folder) / str(job)))
        with ProcessPoolExecutor(arguments.jobs, processes, take_copy, (copies,)) as pool:
            refuse_failing_tests(pool.map(failure_of, sorted({mutant.tests for mutant in chosen})))
            killed = dict(zip(chosen, with_progress(chosen, pool.map(kills, chosen)), strict=True))
    sys.exit(report(chosen, killed))


def copied(to: Path) -> Path:
    """Copy the working tree, what is not committed included, into a repository of its own."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=test", "-c", "user.email=a@b.c", "commit", "-qm", "copy"]):
        subprocess.run(["git", *command], cwd=to, check=True)
    return to


def preload() -> None:
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # a mutant of equal size, written in the same second, would go unnoticed
    sys.dont_write_bytecode = True
    for name in PRELOADED:
        importlib.import_module(name)


def take_copy(copies: "multiprocessing.SimpleQueue[Path]") -> None:
    """Give this worker a copy of the tree of its own."""
    os.chdir(copies.get())


def refuse_failing_tests(results: Iterable[tuple[tuple[str, ...], str]]) -> None:
    """Stop where a test fails on the sound code: it would prove nothing."""
    for tests, failure in results:
        if failure:
            sys.exit(f"{failure}\n{' '.join(tests)} fails on the sound code; mend the tests or the catalog first")


def with_progress(mutants: list[Mutant], results: Iterable[bool]) -> Iterator[bool]:
    """Pass the results on, with a line for each and the time that is left."""
    start = time.monotonic()
    for done, (mutant, is_killed) in enumerate(zip(mutants, results, strict=True), 1):
        left = (time.monotonic() - start) / done * (len(mutants) - done)
        state = "killed  " if is_killed else "SURVIVED"
        print(f"{done}/{len(mutants)}  {state}  {mutant.file}: {mutant.bug}  ({left:.0f} s left)", flush=True)
        yield is_killed


def failure_of(tests: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Return the tests and what pytest says of them; nothing where they pass."""
    return tests, "" if pytest_here(tests) == PASSED else log_of(Path.cwd()).read_text()


def log_of(copy: Path) -> Path:
    return copy.with_name(f"{copy.name}.log")


def kills(mutant: Mutant) -> bool:
    """Tell whether the tests fail on the mutant, in this worker's copy."""
    file = Path(mutant.file)
    source = file.read_text()
    file.write_text(mutant.applied_to(Path()))
    code = pytest_here(mutant.tests)
    file.write_text(source)
    if code not in (PASSED, FAILED, INTERRUPTED):
        raise RuntimeError(f"pytest ended with {code} on the mutant '{mutant.bug}' of {mutant.file}: see `pytest {' '.join(mutant.tests)}`")
    return code != PASSED


def pytest_here(tests: tuple[str, ...]) -> int:
    """Run tests in a fork of this process; return pytest's exit code, FAILED where they take too long."""
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            _be_pytest(tests)
        os._exit(os.EX_SOFTWARE)
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else FAILED
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return FAILED


def _be_pytest(tests: tuple[str, ...]) -> None:
    os.setsid()  # a process group of its own, which ends as one
    folder = Path.cwd()
    forget_own_modules()
    sys.path[:] = [str(folder), *(place for place in sys.path if Path(place).resolve() not in (ROOT, folder))]
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for stream in (1, 2):
        os.dup2(os.open(log_of(folder), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    import pytest

    preloaded = "ignore::pytest.PytestAssertRewriteWarning"
    options = ["-x", "-q", "-W", preloaded, "-p", "no:cacheprovider", f"--basetemp={folder}-tmp"]
    os._exit(pytest.main([*options, *tests]))


def report(mutants: list[Mutant], killed: dict[Mutant, bool]) -> int:
    """Print the score by folder and the survivors; return the exit code."""
    scores = {}
    for folder in sorted({mutant.folder for mutant in mutants}):
        of_folder = [killed[mutant] for mutant in mutants if mutant.folder == folder]
        scores[folder] = sum(of_folder) / len(of_folder)
        print(f"{folder:12} {sum(of_folder):4} of {len(of_folder):4}  {scores[folder]:.0%}")
    total = sum(killed.values()) / max(1, len(killed))
    print(f"{'all':12} {sum(killed.values()):4} of {len(killed):4}  {total:.1%}  (goal {GOAL:.0%}, each folder {GOAL_OF_A_FOLDER:.0%})")
    for mutant in mutants:
        if not killed[mutant]:
            print(f"survivor: {mutant.file}: {mutant.bug}. {mutant.survives or 'no reason is given'}")
    return int(total < GOAL or min(scores.values(), default=0) < GOAL_OF_A_FOLDER)


if __name__ == "__main__":
    main()
