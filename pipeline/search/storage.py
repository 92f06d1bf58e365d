"""Where studies are kept: sqlite in the project's root, or a PostgreSQL or MySQL database that several machines share.

sqlite and no journal file: after kill -9, or on a full disk, a transaction is there or is not; a line of a journal that was
cut short makes the whole file unreadable (docs/decisions/0018)."""

import socket
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.storages import RDBStorage

from pipeline.config.errors import ConfigError, NetworkError
from pipeline.config.secrets import redact

SQLITE = "sqlite:///"
FILE = "sweeps.db"  # below the project's root
PATIENCE = 60.0  # seconds that sqlite waits for another process's transaction
BEAT = 20  # seconds between two signs of life of a trial
GRACE = 120  # seconds without one, after which a trial on another machine is taken for dead

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Storage:
    """A database of studies. lock: no other process changes a study meanwhile; a server's transactions have to do.

    is_local: the lock holds for all who use the database."""

    def __init__(self, url: str) -> None:
        self.url, self.host = url, socket.gethostname()
        path = url.removeprefix(SQLITE)
        self.is_local = path != url
        self._lock = FileLock(f"{path}.lock") if self.is_local else None
        with self.lock():  # two processes that make the tables at once break sqlite's for good
            self.rdb = self._opened()
        self.rdb.heartbeat_interval, self.rdb.grace_period = BEAT, GRACE

    def _opened(self) -> RDBStorage:
        options = {"connect_args": {"timeout": PATIENCE}} if self.is_local else {"pool_pre_ping": True}
        try:
            return RDBStorage(self.url, engine_kwargs=options)
        except ImportError as error:
            raise ConfigError(f"the driver of {redact(self.url)} is not installed: pip install psycopg2-binary, or pymysql") from error
        except Exception as error:  # SQLAlchemy's, and each driver's
            words = redact(str(error).splitlines()[0])
            raise NetworkError(f"the sweeps' database {redact(self.url)} can't be used: {words}") from error

    def lock(self) -> AbstractContextManager[object]:
        """Return a context in which this process alone changes sqlite's studies; it may be nested."""
        return self._lock or nullcontext()

    def stale(self, study: int) -> set[int]:
        """Return the ids of trials at work without a sign of life, by the database's own clock."""
        return set(self.rdb._get_stale_trial_ids(study))


def url_of(root: Path, given: str | None) -> str:
    """Return the database's address: the given one, or sqlite in the project's root. Raises ConfigError for another kind."""
    url = given or f"{SQLITE}{root / FILE}"
    if url.partition(":")[0].partition("+")[0] not in ("sqlite", "postgresql", "mysql"):
        raise ConfigError(f"--storage {redact(url)}: expected sqlite:///PATH, postgresql://… or mysql://…")
    return url


def is_there(url: str) -> bool:
    """Tell whether a database may hold sweeps: a file that does not exist holds none."""
    return not url.startswith(SQLITE) or Path(url.removeprefix(SQLITE)).exists()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep optuna from warning of heartbeats outside its own loop, and of what it calls experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
