"""Whether the store answers at all, asked before MLflow does, which would try for minutes."""

import socket
import sqlite3
from contextlib import closing
from urllib.parse import urlsplit

from pipeline.tracking.relocation import file_of

PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}  # where the URI names none
PATIENCE = 5  # seconds


def probe(uri: str) -> None:
    """Raises OSError or sqlite3.Error where nothing answers at the store's address, or its file is locked or no database."""
    parts = urlsplit(uri)
    port = parts.port or PORTS.get(parts.scheme.partition("+")[0])
    if parts.hostname and port:
        socket.create_connection((parts.hostname, port), timeout=PATIENCE).close()
    if (file := file_of(uri)) and file.is_file():
        with closing(sqlite3.connect(file, timeout=PATIENCE)) as database:
            database.execute("SELECT count(*) FROM sqlite_master")
