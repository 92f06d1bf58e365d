"""The store's URI and whether it responds; and a moved project, whose absolute artifact paths in MLflow's database are rewritten."""

import hashlib
import os
import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection, String, column, create_engine, func, inspect, literal, make_url, select, table, update

from pipeline.config.errors import NetworkError
from pipeline.config.schema import Tracking
from pipeline.config.secrets import login_of
from pipeline.config.wording import counted
from pipeline.tracking.events import STORE
from pipeline.tracking.faults import note, note_once

CONFIGURED = "image-line.experiment"  # tag of an experiment: its name in the config
DATABASE, ARTIFACTS = "mlflow.db", "mlruns"  # below the project's root
COLUMNS = (  # that hold artifact paths
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}  # used where the URI has none
PATIENCE = 5  # seconds that probe waits; MLflow itself retries for minutes
LONGEST = 60  # characters of an experiment's folder: up to 4 bytes each, of the 255 that a file name may have
COMMAND = "python -m pipeline.command.doctor --moved"


def uri_of(config: Tracking, home: Path) -> str:
    """Return the store's URI: tracking.uri, else MLFLOW_TRACKING_URI, else the database in the project's root."""
    return config.uri or os.environ.get(STORE) or embedded(home)


def embedded(home: Path) -> str:
    """Return the URI of the database in the project's root, whose path may hold any characters."""
    path = str(home / DATABASE)
    quoted = path.replace("%", "%25").replace("?", "%3F")
    driver = "+pysqlite" * (quoted != path)  # the default driver; naming it keeps MLflow from making a folder of the quoted name
    return f"sqlite{driver}:///{quoted}"


def location(home: Path, experiment: str) -> str:
    """Return where an experiment's artifacts go: a path, or a file URI where the path has a %."""
    return _address(home / ARTIFACTS / folder_of(experiment))


def _address(place: Path) -> str:
    """Return a path, or its URI where MLflow would unquote a part of the path."""
    return place.as_uri() if "%" in str(place) else str(place)


def folder_of(experiment: str) -> str:
    """Return a valid folder name of at most 69 characters for an experiment, whose name may be any text."""
    safe = re.sub(r"[^\w. -]", "_", experiment).strip(". ")[:LONGEST]
    if safe == experiment:
        return safe
    return f"{safe}-{hashlib.sha256(experiment.encode()).hexdigest()[:8]}"


def probe(uri: str) -> None:
    """Check that the store responds. Raises OSError or sqlite3.Error where it does not, or its file is locked or no database.

    Raises NetworkError for a URI that libraries would misparse, showing a part of its password as the host."""
    host, port = _host_and_port(uri)
    if host and port:
        socket.create_connection((host, port), timeout=PATIENCE).close()
    if (file := file_of(uri)) and file.is_file():
        with closing(sqlite3.connect(file, timeout=PATIENCE)) as database:
            database.execute("SELECT count(*) FROM sqlite_master")


def _host_and_port(uri: str) -> tuple[str | None, int | None]:
    ending = "/?#" if uri.startswith("http") else "/?#@"  # what ends a password for the URI's parsers
    try:
        parts = urlsplit(uri)
        if not set(ending) & set(login_of(uri)):
            return parts.hostname, parts.port or PORTS.get(parts.scheme.partition("+")[0])
    except ValueError:
        pass
    raise NetworkError(
        "the MLflow store's address can't be read (tracking.uri, or MLFLOW_TRACKING_URI); "
        "in a password write / ? # @ [ ] as %2F %3F %23 %40 %5B %5D"
    )


def check_place(uri: str, home: Path) -> None:
    """Rewrite the artifact paths of a moved or copied project, in the database in its root only; note that, and missing artifacts."""
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
    """Print a note if another database has its artifacts in a project that is gone: only a person knows whose they are."""
    if uri.startswith("http") or not (old := home_of(artifacts, experiment)) or is_same(old, home):
        return
    if not old.exists() or ((database := file_of(uri)) and database.resolve().is_relative_to(home.resolve())):  # it has moved along
        note_once(f"experiment {experiment} has its artifacts in {artifacts}; if the project was moved from there, `{COMMAND}` mends it")


def file_of(uri: str) -> Path | None:
    """Return the file of a SQLite database; None: another kind of store."""
    url = make_url(uri) if uri.startswith("sqlite") else None
    return Path(url.database) if url and url.database else None


def home_of(artifacts: str, experiment: str) -> Path | None:
    """Return the project in whose mlruns/ an experiment has its artifacts; None: in no project's."""
    place = Path(unquote(urlsplit(artifacts).path) if artifacts.startswith("file:") else artifacts)
    ends = ((ARTIFACTS, folder_of(experiment)), (Path(ARTIFACTS) / experiment).parts)  # the latter by earlier versions
    return next((Path(*place.parts[: -len(end)]) for end in ends if place.is_absolute() and place.parts[-len(end) :] == end), None)


def is_same(one: Path, other: Path) -> bool:
    """Return whether two paths are the same folder, also through links and mounts."""
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def mend(uri: str, home: Path) -> list[Path]:
    """Point the database to this project's artifacts, in one transaction; return the projects that it pointed to."""
    with _transaction(uri) as connection:
        tables = set(inspect(connection).get_table_names())
        homes = [old for old in _homes(connection, tables) if not is_same(old, home)]
        for old in homes:
            for name, artifacts in COLUMNS:
                if name in tables:
                    _replace(connection, name, artifacts, old, home)
    return homes


def _homes(connection: Connection, tables: set[str]) -> list[Path]:
    """Return the projects in which the experiments have their artifacts."""
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
    """Replace the old project in a column, written as a path or as a URI."""
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
