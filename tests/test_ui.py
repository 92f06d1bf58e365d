"""make ui: the address of the runs' view, whose login it takes, and a port that is taken."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.command import ui
from pipeline.config.errors import BusyError, ConfigError


@pytest.fixture
def taken() -> Iterator[int]:
    """A port at which somebody listens."""
    with socket.create_server((ui.HOST, 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_is_refused_with_the_next_one_and_a_free_one_is_not(taken: int) -> None:
    with pytest.raises(BusyError, match=f"port {taken} is taken, .*: make ui PORT={taken + 1}$"):
        ui.refuse_taken_port(taken)
    with socket.create_server((ui.HOST, 0)) as server:
        free = server.getsockname()[1]
    ui.refuse_taken_port(free)


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "50.5"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(ConfigError, match=f"^PORT={port} is no port; give a whole number from 1 to 65535: make ui PORT=5000$"):
        ui.port_of(port)


def test_the_address_of_the_view_is_told_also_where_the_pages_are_open_already(
    taken: int, home: Path, conf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "conf").symlink_to(conf)
    monkeypatch.setattr(ui, "WORKSPACE", home)
    monkeypatch.setattr("sys.argv", ["ui"])
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("PORT", str(taken))
    with pytest.raises(BusyError):
        ui.main()
    runs, charts = capsys.readouterr().out.splitlines()
    assert runs.startswith(f"the runs, best first: http://127.0.0.1:{taken}/#/experiments/1/runs?compareRunsMode=TABLE&")
    assert charts.startswith(f"curves and pictures:  http://127.0.0.1:{taken}/#/experiments/1/runs?compareRunsMode=CHART&")


@pytest.mark.parametrize(
    ("uri", "user", "login"),
    [
        ("https://me:wombat@host/mlflow", None, "MLFLOW_TRACKING_URI"),
        ("https://host/mlflow", "me", "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        ("https://host/a@b", None, None),
    ],
)
def test_a_server_s_login_is_named_by_its_variables(uri: str, user: str | None, login: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    if user:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
    assert ui.login_of(uri) == login
