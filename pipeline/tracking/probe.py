"""Whether the store answers at all, asked before MLflow does, which would try for minutes."""

import socket
import sqlite3
from contextlib import closing
from urllib.parse import urlsplit

from pipeline.config.errors import NetworkError
from pipeline.config.urls import login_of
from pipeline.tracking.relocation import file_of

PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}  # where the URI names none
PATIENCE = 5  # seconds


def probe(uri: str) -> None:
    """Raises OSError or sqlite3.Error where nothing answers at the store's address, or its file is locked or no database.

    Raises NetworkError for an address that the store's libraries would misread, and quote a part of its password as its host."""
    host, port = _host_and_port(uri)
    if host and port:
        socket.create_connection((host, port), timeout=PATIENCE).close()
    if (file := file_of(uri)) and file.is_file():
        with closing(sqlite3.connect(file, timeout=PATIENCE)) as database:
            database.execute("SELECT count(*) FROM sqlite_master")


def _host_and_port(uri: str) -> tuple[str | None, int | None]:
    ending = "/?#" if uri.startswith("http") else "/?#@"  # what ends a password to those who read it
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
