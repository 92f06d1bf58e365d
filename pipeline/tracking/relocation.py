"""The place of a project's artifacts: the database names it by absolute paths, which lead astray once the project is moved."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection, String, column, create_engine, func, inspect, literal, make_url, select, table, update

from pipeline.config.counted import counted
from pipeline.config.schema import Tracking
from pipeline.tracking.experiment import CONFIGURED
from pipeline.tracking.journal import STORE
from pipeline.tracking.notes import note, note_once

DATABASE, ARTIFACTS = "mlflow.db", "mlruns"  # below the project's root
COLUMNS = (  # that name artifacts
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
LONGEST = 60  # characters of an experiment's folder: a file's name has 255 bytes at most, and a character up to four
COMMAND = "python -m pipeline.command.doctor --moved"


def uri_of(config: Tracking, home: Path) -> str:
    return config.uri or os.environ.get(STORE) or embedded(home)


def embedded(home: Path) -> str:
    """Return the URI of the database in the project's root, whatever letters that has."""
    path = str(home / DATABASE)
    quoted = path.replace("%", "%25").replace("?", "%3F")
    driver = "+pysqlite" * (quoted != path)  # the default one; where a URI names it, MLflow makes no folder of the quoted name
    return f"sqlite{driver}:///{quoted}"


def location(home: Path, experiment: str) -> str:
    """Return the place of an experiment's artifacts."""
    return _address(home / ARTIFACTS / folder_of(experiment))


def _address(place: Path) -> str:
    """Return a path, or its URI where MLflow would take a part of the path for an escape."""
    return place.as_uri() if "%" in str(place) else str(place)


def folder_of(experiment: str) -> str:
    """Return the name of a folder for an experiment's artifacts, whose own name may lead out of mlruns/ or be no name of a file."""
    safe = re.sub(r"[^\w. -]", "_", experiment).strip(". ")[:LONGEST]
    if safe == experiment:
        return safe
    return f"{safe}-{hashlib.sha256(experiment.encode()).hexdigest()[:8]}"


def check_place(uri: str, home: Path) -> None:
    """Mend the database of a project that was moved or copied, if it is the one in its own root; say so, and what is missing."""
    database = home / DATABASE
    if uri != embedded(home) or not database.exists() or not is_same(database.resolve().parent, home):
        return
    homes = mend(uri, home)
    if homes:
        note(f"the project was moved or copied here from {', '.join(map(str, homes))}; {DATABASE} now leads to {ARTIFACTS}/ here")
    if not (home / ARTIFACTS).exists() and (runs := _runs(uri)):
        note_once(
            f"{home / ARTIFACTS} is missing, and with it the pictures, files and models of {counted(runs, 'run')}; "
            f"put it back beside {DATABASE}"
        )


def warn_if_astray(uri: str, home: Path, artifacts: str, experiment: str) -> None:
    """Say so where another database leads to a project that is not there: a person knows whose artifacts these are."""
    if uri.startswith("http") or not (old := home_of(artifacts, experiment)) or is_same(old, home):
        return
    if not old.exists() or ((database := file_of(uri)) and database.resolve().is_relative_to(home.resolve())):  # which moves along
        note_once(f"experiment {experiment} has its artifacts in {artifacts}; if the project was moved from there, `{COMMAND}` mends it")


def file_of(uri: str) -> Path | None:
    """Return the file of a sqlite database; None: it is another kind of store."""
    url = make_url(uri) if uri.startswith("sqlite") else None
    return Path(url.database) if url and url.database else None


def home_of(artifacts: str, experiment: str) -> Path | None:
    """Return the project in whose mlruns/ an experiment has its artifacts; None: they lie in none."""
    place = Path(unquote(urlsplit(artifacts).path) if artifacts.startswith("file:") else artifacts)
    ends = ((ARTIFACTS, folder_of(experiment)), (Path(ARTIFACTS) / experiment).parts)  # the latter where it was made before
    return next((Path(*place.parts[: -len(end)]) for end in ends if place.is_absolute() and place.parts[-len(end) :] == end), None)


def is_same(one: Path, other: Path) -> bool:
    """Tell whether two paths are the same folder, be it by a link or a mount."""
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def mend(uri: str, home: Path) -> list[Path]:
    """Let the database lead to the artifacts in this project, in one transaction; return the places where it had been."""
    with _transaction(uri) as connection:
        tables = set(inspect(connection).get_table_names())
        homes = [old for old in _homes(connection, tables) if not is_same(old, home)]
        for old in homes:
            for name, artifacts in COLUMNS:
                if name in tables:
                    _replace(connection, name, artifacts, old, home)
    return homes


def _homes(connection: Connection, tables: set[str]) -> list[Path]:
    """Return the projects in which our experiments have their artifacts."""
    if not {"experiments", "experiment_tags"} <= tables:
        return []
    experiments = table("experiments", column("experiment_id"), column("artifact_location"), column("name"))
    tags = table("experiment_tags", column("experiment_id"), column("key"), column("value"))
    tagged = (tags.c.experiment_id == experiments.c.experiment_id, tags.c.key == CONFIGURED)
    rows = [
        *connection.execute(select(experiments.c.artifact_location, experiments.c.name)),
        *connection.execute(select(experiments.c.artifact_location, tags.c.value).where(*tagged)),
    ]
    return sorted({home for place, name in rows if place and (home := home_of(place, name))})


def _replace(connection: Connection, name: str, artifacts: str, old: Path, home: Path) -> None:
    """Replace the old home in a column, in both ways in which it may be written."""
    place = column(artifacts, String)
    rows = table(name, place)
    for was in (f"{old / ARTIFACTS}/", f"{(old / ARTIFACTS).as_uri()}/"):
        now = literal(f"{_address(home / ARTIFACTS)}/", String) + func.substr(place, len(was) + 1, type_=String)
        connection.execute(update(rows).where(func.substr(place, 1, len(was)) == was).values({artifacts: now}))


def _runs(uri: str) -> int:
    with _transaction(uri) as connection:
        return int(connection.execute(select(func.count()).select_from(table("runs"))).scalar_one())


@contextmanager
def _transaction(uri: str) -> Iterator[Connection]:
    engine = create_engine(uri)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
