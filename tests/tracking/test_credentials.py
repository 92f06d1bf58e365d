"""The password of a store's address is shown by no command and kept by no file, with a real server that the runs go to."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import Project, Ran, environment, small_project, wait_for

PASSWORD = "-".join(("wombat", "7F3A"))  # looks like no secret, and stands in no file of the project


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server's host and port, which takes any user."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    env = environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder / 'server.db'}"}
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as started:
        wait_for(port)
        yield f"127.0.0.1:{port}"
        started.terminate()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return small_project(tmp_path_factory.mktemp("credentials") / "project")


def keeping(folder: Path) -> list[str]:
    """Return what in a folder names the password, file names included."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [str(path) for path in files if PASSWORD in str(path) or PASSWORD.encode() in path.read_bytes()]


@pytest.mark.slow
def test_the_line_and_every_command_about_runs_show_and_keep_none(
    project: Project, server: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    uri = {"MLFLOW_TRACKING_URI": f"http://me:{PASSWORD}@{server}"}

    def said(*command: str) -> Ran:
        ran = project.ok(*command, **uri)
        assert PASSWORD not in ran.output, ran.output
        return ran

    assert "registered as folder version 1, the champion" in said("dvc", "repro").output
    said("python", "-m", "pipeline.command.sync")
    said("python", "-m", "pipeline.command.compare")
    said("python", "-m", "pipeline.command.champion", "1")
    pages = said("python", "-m", "pipeline.command.ui").output
    assert f"http://{server}/#/experiments/" in pages
    assert "log in with the user and password of MLFLOW_TRACKING_URI" in pages
    assert keeping(project.root) == []
    assert keeping(tmp_path_factory.getbasetemp() / "server0") == []
