"""What DVC needs of a stage that it runs: inputs that do not change meanwhile, and a trace where an experiment is not finished.

DVC reads parameters and code when a stage ends, and would record an edit made meanwhile as done."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.config.atomic import replace
from pipeline.config.compose import read_yaml
from pipeline.config.errors import BusyError
from pipeline.config.tree import get

READ_BY_DVC = ("params.yaml", "conf.lock")
EDITED = ".edited"  # suffix of the file that keeps an edit which was undone

UNFINISHED = "# a stage of an experiment began here, and has not ended\n"  # ends conf.lock meanwhile


@contextmanager
def marked_unfinished(root: Path) -> Iterator[None]:
    """In an experiment, mark conf.lock until the work within has ended; the mark of another stage stays.

    Where the stage fails or is killed, DVC finds configure's output changed: the next `dvc repro` returns to the values
    before the experiment, where it would otherwise continue with the experiment's."""
    lock = root / "conf.lock"
    if "DVC_EXP_NAME" not in os.environ or (text := lock.read_text()).endswith(UNFINISHED):
        yield
        return
    replace(lock, text + UNFINISHED)
    yield
    replace(lock, lock.read_text().removesuffix(UNFINISHED))


@contextmanager
def unchanged_inputs(root: Path, stage: str) -> Iterator[None]:
    """Restore params.yaml and conf.lock as the stage read them, and keep an edit beside them, with a note.

    Raises BusyError at the end where a source file of the stage has changed: its result is of neither version."""
    texts, code = {name: (root / name).read_text() for name in READ_BY_DVC}, _code(root, stage)
    yield
    for name, text in texts.items():
        _restore(root / name, text, stage)
    if changed := [file for file, digest in _code(root, stage).items() if code.get(file) != digest]:
        raise BusyError(
            f"{', '.join(changed)} changed while {stage} was at work, and DVC would take its result for one of the new code. "
            "Nothing of it counts as done; repeat"
        )


def _restore(file: Path, text: str, stage: str) -> None:
    now = file.read_text() if file.exists() else None
    if now == text:
        return
    kept = ""
    if now is not None:
        replace(file.with_name(f"{file.name}{EDITED}"), now)
        kept = f" and kept in {file.name}{EDITED}: copy it back over {file.name} to run it"
    print(f"note: {file.name} was changed while {stage} was at work with the values before; the change is undone{kept}", flush=True)
    replace(file, text)


def _code(root: Path, stage: str) -> dict[str, str]:
    """Return file -> sha256 of the stage's code, as dvc.yaml lists it."""
    deps = [root / dep for dep in get(read_yaml(root / "dvc.yaml"), f"stages.{stage}.deps") if str(dep).startswith("pipeline/")]
    files = [file for dep in deps for file in (sorted(dep.rglob("*.py")) if dep.is_dir() else [dep]) if file.exists()]
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
