"""Repair what a killed dvc left half written, and say how to resolve a merge: python -m pipeline.command.doctor [--moved]

DVC rewrites two of its files in place. Killed, or out of disk space, at that moment it leaves them empty, and every later
`dvc repro` stops. The next `dvc repro` finds out again what both say, so a damaged one can be removed."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.config.errors import BusyError, DataError
from pipeline.config.merges import bring_back, refuse_conflicts
from pipeline.config.paths import WORKSPACE
from pipeline.config.process import parser_of, run_command
from pipeline.config.secrets import without_credentials

WHO_READS_AND_WRITES = Path(".dvc/tmp/rwlock")  # JSON
ITS_GUARD = Path(".dvc/tmp/rwlock.lock")  # which DVC holds by flock while it writes that file
WHAT_WAS_MADE = Path("dvc.lock")  # YAML


def repair(root: Path) -> list[str]:
    """Remove the damaged files; return a line for each.

    Raises BusyError while a dvc is writing, ConfigError where a merge left a generated file in conflict."""
    refuse_conflicts(root)
    told = []
    if (path := root / WHO_READS_AND_WRITES).exists():
        with _guarded(root / ITS_GUARD):
            if not _is_json(path):
                path.unlink()
                told.append(f"{WHO_READS_AND_WRITES} was damaged and is removed: a dvc that writes it was killed")
    if (path := root / WHAT_WAS_MADE).exists() and not _is_mapping(path):
        path.unlink()
        command = bring_back(root, str(WHAT_WAS_MADE))
        instead = f"`{command}` brings the last one that git has" if command else "the next `dvc repro` writes it anew"
        told.append(f"{WHAT_WAS_MADE} was damaged and is removed; {instead}")
    return told


@contextmanager
def _guarded(path: Path) -> Iterator[None]:
    with path.open("a") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError("a dvc is at work here; wait for it, then repeat") from None
        yield


def _is_json(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except ValueError:
        return False


def _is_mapping(path: Path) -> bool:
    try:
        return isinstance(YAML(typ="safe").load(path.read_text()), dict)
    except (YAMLError, UnicodeDecodeError):
        return False


def find_artifacts(root: Path) -> list[str]:
    """Point the tracking database to the artifacts of this project, which was moved or copied; return a line for each old location.

    Raises DataError for a tracking server, which locates its artifacts itself."""
    from pipeline.config.compose import compose, parse, resolved
    from pipeline.tracking import relocation
    from pipeline.tracking.faults import store_may_be_away

    uri = relocation.uri_of(parse(resolved(compose(root / "conf"))).tracking, root)
    if uri.startswith("http"):
        raise DataError(f"{without_credentials(uri)} is a server, which knows itself where its artifacts lie; --moved is for databases")
    if (database := relocation.file_of(uri)) and not database.exists():
        return []
    with store_may_be_away(uri):
        relocation.probe(uri)
        return [f"the database leads to {relocation.ARTIFACTS}/ here, no more to {old}" for old in relocation.mend(uri, root)]


def main() -> None:
    """Repair the project in this folder; print what was done."""
    parser = parser_of(main)
    parser.add_argument("--moved", action="store_true", help="the project was moved: a database elsewhere (tracking.uri) is mended too")
    moved = parser.parse_args().moved
    told = repair(WORKSPACE) + (find_artifacts(WORKSPACE) if moved else [])
    print("\n".join(told) or "nothing is damaged")


if __name__ == "__main__":
    run_command("doctor", main)
