"""What a stage began with is there when it ends: DVC reads parameters and code only then, and would record an edit of meanwhile as done."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.config.atomic import replace
from pipeline.config.composition import get, read_yaml
from pipeline.config.errors import BusyError

READ_BY_DVC = ("params.yaml", "conf.lock")
EDITED = ".edited"  # ends the name of the file that keeps what was written over


@contextmanager
def held(root: Path, stage: str) -> Iterator[None]:
    """Put params.yaml and conf.lock back as the stage read them, and keep the edit beside them, with a line.

    Raises BusyError at the end where a source file of the stage has changed: its result is of neither code."""
    texts, code = {name: (root / name).read_text() for name in READ_BY_DVC}, _code(root, stage)
    yield
    for name, text in texts.items():
        _put_back(root / name, text, stage)
    if changed := [file for file, digest in _code(root, stage).items() if code.get(file) != digest]:
        raise BusyError(
            f"{', '.join(changed)} changed while {stage} was at work, and DVC would take its result for one of the new code. "
            "Nothing of it counts as done; repeat"
        )


def _put_back(file: Path, text: str, stage: str) -> None:
    now = file.read_text() if file.exists() else None
    if now == text:
        return
    kept = ""
    if now is not None:
        replace(file.with_name(f"{file.name}{EDITED}"), now)
        kept = f" and stands in {file.name}{EDITED}: copy it back over {file.name} to run it"
    print(f"note: {file.name} was changed while {stage} was at work with the values before; the change is undone{kept}", flush=True)
    replace(file, text)


def _code(root: Path, stage: str) -> dict[str, str]:
    """Return file -> sha256 of the stage's code, as dvc.yaml lists it."""
    deps = [root / dep for dep in get(read_yaml(root / "dvc.yaml"), f"stages.{stage}.deps") if str(dep).startswith("pipeline/")]
    files = [file for dep in deps for file in (sorted(dep.rglob("*.py")) if dep.is_dir() else [dep]) if file.exists()]
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
