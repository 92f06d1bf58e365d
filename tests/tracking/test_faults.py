"""A store that can't be used is one sentence with the remedy: no traceback, no SQL, no password."""

import dataclasses
import re
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient
from sqlalchemy import text

from pipeline.command import sync
from pipeline.config.errors import NetworkError
from pipeline.config.process import exit_code
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking import relocation
from pipeline.tracking.events import EventLog, waiting
from pipeline.tracking.faults import is_refusal, sentence, store_may_be_away
from pipeline.tracking.registry import promote
from pipeline.tracking.run import Run, begin
from pipeline.tracking.store import Store
from pipeline.tracking.sync import sync_waiting
from tests.tracking.proxy import Harm, proxy_of

PASSWORD = "hunter22"  # of the person of these tests
NOBODY = "http://127.0.0.1:9"

SERVERS = {
    Harm.LOGIN: r"asks for a login \(401\); log in by the variables MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_T",
    Harm.FORBIDDEN: r"refuses this user \(403\); log in by the variables MLFLOW_TRACKING_USERNAME",
    Harm.ABSENT: r"has no MLflow \(404\); check whether it is MLflow's, and what it needs as a login: tracking.uri, or MLFLOW_TRACKING_URI",
    Harm.PAGE: r"answers with a page; check whether it is MLflow's",
    Harm.AWAY: r"its server answers that it is not available",
    Harm.DROPPED: r"its server does not answer, or ends the connection; repeat when it runs",
}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's client does not try again, and a locked database is not waited for."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(relocation, "PATIENCE", 0.2)


def opened(cfg: Config, home: Path, uri: str | None) -> str:
    """Return what is said of a store that can't be opened."""
    cfg.tracking.uri = uri
    with pytest.raises(NetworkError) as caught:
        Store(cfg.tracking, home)
    said = str(caught.value)
    assert "\n" not in said
    assert PASSWORD not in said
    assert "sqlalche.me" not in said
    assert "[SQL" not in said
    return said


@pytest.mark.parametrize("harm", SERVERS, ids=lambda harm: harm.name)
def test_a_server_that_answers_otherwise_than_mlflow_is_told_with_what_to_do(harm: Harm, cfg: Config, home: Path) -> None:
    with proxy_of(NOBODY) as proxy:
        proxy.harm = lambda number, call: harm
        said = opened(cfg, home, proxy.url.replace("://", f"://me:{PASSWORD}@"))
    assert re.search(SERVERS[harm], said), said


@pytest.fixture
def listening() -> Iterator[int]:
    """A port at which something listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("scheme", "remedy"),
    [
        ("mysql", "it needs the package MySQLdb, which is not installed; `pip install mysqlclient`"),
        ("mysql+pymysql", "it needs the package pymysql, which is not installed; `pip install pymysql`"),
        ("postgresql+psycopg2", "it needs the package psycopg2, which is not installed; `pip install psycopg2-binary`"),
        ("postgresql+psycopg", "it needs the package psycopg, which is not installed; `pip install 'psycopg[binary]'`"),
        ("postgres", "its address can't be read; tracking.uri, or MLFLOW_TRACKING_URI, is sqlite:///FILE, postgresql://"),
    ],
)
def test_a_driver_that_is_not_installed_is_named_as_pip_calls_it(
    scheme: str, remedy: str, cfg: Config, home: Path, listening: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("MySQLdb", "pymysql", "psycopg2", "psycopg"):
        monkeypatch.setitem(sys.modules, module, None)
    assert remedy in opened(cfg, home, f"{scheme}://me:{PASSWORD}@127.0.0.1:{listening}/runs")


@pytest.mark.parametrize(("scheme", "port"), [("postgresql", 5432), ("postgresql+psycopg", 5432), ("mysql+pymysql", 3306)])
def test_a_database_s_server_is_asked_at_its_usual_port_where_the_address_names_none(scheme: str, port: int) -> None:
    host = "127.0.0.77"  # of this machine too, and nobody else's
    with pytest.raises(ConnectionRefusedError):
        relocation.probe(f"{scheme}://{host}/runs")
    with socket.create_server((host, port)):
        relocation.probe(f"{scheme}://{host}/runs")


@pytest.mark.parametrize("scheme", ["postgresql+psycopg2", "mysql+pymysql", "http"])
@pytest.mark.parametrize("password", [f"12/{PASSWORD}", f"{PASSWORD}#7", f"{PASSWORD}?7", f"7@{PASSWORD}", f"[{PASSWORD}"])
def test_an_address_whose_password_ends_it_is_refused_with_how_to_write_it(scheme: str, password: str, cfg: Config, home: Path) -> None:
    if scheme == "http" and password[0] in "17":  # a port, or what a web address may hold
        pytest.skip("it can be read")
    said = opened(cfg, home, f"{scheme}://me:{password}@127.0.0.1:9/runs")
    assert "can't be read" in said
    assert "in a password write / ? # @ [ ] as %2F %3F %23 %40 %5B %5D" in said


def test_tls_at_a_server_without_it_is_told(cfg: Config, home: Path) -> None:
    with proxy_of(NOBODY) as proxy:
        assert "check whether tracking.uri begins with http:// or https://" in opened(cfg, home, proxy.url.replace("http:", "https:"))


def test_a_file_that_is_no_database_is_told(cfg: Config, home: Path) -> None:
    (home / "mlflow.db").write_bytes(b"no database" * 1000)
    assert "its file is no whole database; put a backup of mlflow.db in its place" in opened(cfg, home, None)


# Locked


LOCKED = "its database is locked by another process; end that one, or repeat when it is done"


@pytest.fixture
def locked(home: Path) -> Iterator[Callable[[], None]]:
    """Locks the embedded store as another program would."""
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        yield lambda: database.execute("BEGIN EXCLUSIVE") and None


def test_a_locked_database_is_one_line_and_exit_code_69_and_the_run_arrives_later(
    home: Path,
    cfg: Config,
    manifest: Manifest,
    locked: Callable[[], None],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Run(EventLog(home))
    begin(run, dataclasses.asdict(cfg), manifest)
    run.end("FINISHED")
    run.events.close()
    locked()
    monkeypatch.setattr(sync, "WORKSPACE", home)
    monkeypatch.setattr(sys, "argv", ["sync"])
    assert exit_code("sync", sync.main) == 69
    [line] = capfd.readouterr().err.splitlines()
    assert line == (
        f"sync failed: the MLflow store sqlite:///{home}/mlflow.db can't be used: {LOCKED}. "
        f"What MLflow lacks waits in journals/{run.events.folder.name}; `python -m pipeline.command.sync` uploads it"
    )
    assert waiting(home) == [run.events.folder]


def test_a_database_that_is_locked_after_it_was_opened_is_one_line_too(
    home: Path, cfg: Config, locked: Callable[[], None], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(cfg.tracking, home)
    monkeypatch.setattr("mlflow.store.db.utils.sql.text", lambda words: text(words.replace("20000", "100")))  # ms that MLflow waits
    locked()
    capfd.readouterr()
    with pytest.raises(NetworkError, match=f"can't be used: {LOCKED}$"):
        promote(store, "1")
    assert capfd.readouterr().err == ""


# Artifacts


@pytest.fixture
def in_s3(home: Path, cfg: Config, manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of a run whose artifacts belong into S3; nobody has said with what credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", NOBODY)
    MlflowClient(f"sqlite:///{home / 'mlflow.db'}").create_experiment(cfg.tracking.experiment, "s3://bucket/runs")
    run = Run(EventLog(home))
    begin(run, dataclasses.asdict(cfg), manifest)
    run.end("FINISHED")
    run.events.close()
    return run.events.folder


def test_s3_without_credentials_says_which_variables_to_set(home: Path, in_s3: Path) -> None:
    [note] = sync_waiting(home)
    assert "its artifacts need credentials; give them by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE;" in note
    assert waiting(home) == [in_s3]


def test_s3_without_its_package_says_what_to_install(home: Path, in_s3: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"{NOBODY}9")  # MLflow keeps what it has imported for another
    [note] = sync_waiting(home)
    assert "it needs the package boto3, which is not installed; `pip install boto3`" in note
    assert "\n" not in note


# Words


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("(sqlite3.OperationalError) attempt to write a readonly database [SQL: INSERT]", "give this user write access"),
        ("(sqlite3.OperationalError) database or disk is full", "its disk is full"),
        ("[Errno 30] Read-only file system: '/mlruns/1'", "give this user write access"),
        ("Detected out-of-date database schema (found version a, but expected b)", "mlflow db upgrade"),
        ("certificate verify failed: self-signed certificate", "MLFLOW_TRACKING_SERVER_CERT_PATH"),
        ("An error occurred (AccessDenied) when calling PutObject", "refuses this user"),
        ('FATAL: password authentication failed for user "me"', "check the user and password in MLFLOW_TRACKING_URI"),
    ],
)
def test_what_an_error_says_becomes_what_to_do(words: str, remedy: str) -> None:
    assert remedy in sentence(OSError(words))


def test_an_unknown_error_is_its_first_line_without_its_secrets() -> None:
    error = OSError(f"no way to x://me:{PASSWORD}@host\nTraceback\n (Background on this error at: https://sqlalche.me/e/1)")
    assert sentence(error, f"x://me:{PASSWORD}@host") == "no way to x://host"


def test_an_error_that_quotes_the_address_shows_no_part_of_a_password_of_any_letters() -> None:
    uri = f"mysql+pymysql://me:7/#?@{PASSWORD}@host/runs"
    assert sentence(OSError(f"no way to {uri}"), uri) == "no way to mysql+pymysql://host/runs"


def test_an_error_of_ours_is_none_of_the_store() -> None:
    with pytest.raises(ZeroDivisionError), store_may_be_away():
        raise ZeroDivisionError
    assert not is_refusal(NetworkError("away"))


@pytest.mark.parametrize(("status", "is_final"), [(400, True), (413, True), (401, False), (404, False), (429, False), (503, False)])
def test_an_answer_is_a_refusal_where_it_would_be_the_same_again(status: int, is_final: bool) -> None:
    answer = requests.Response()
    answer.status_code = status
    assert is_refusal(requests.HTTPError(response=answer)) is is_final
