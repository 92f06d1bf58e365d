"""Start MLflow's pages on this machine: make ui [PORT=5000]"""

import os
import socket
import sys
from urllib.parse import urlsplit

from pipeline.config.arguments import no_arguments
from pipeline.config.entry import run_command
from pipeline.config.errors import BusyError, ConfigError
from pipeline.config.places import WORKSPACE
from pipeline.config.urls import without_credentials

LAST_PORT = 65535
HOST = "127.0.0.1"  # nobody else can reach the pages, which have no login


def main() -> None:
    """Serve the project's runs on 127.0.0.1 and print the address of their chart view; the environment's PORT is the port, or 5000."""
    no_arguments(main)
    port = port_of(os.environ.get("PORT", "5000"))
    from pipeline.config.composition import compose, parse, resolved
    from pipeline.tracking.delivery import settle
    from pipeline.tracking.faults import store_may_be_away
    from pipeline.tracking.store import Store
    from pipeline.tracking.view import save_view

    store = Store(parse(resolved(compose(WORKSPACE / "conf"))).tracking, WORKSPACE)
    for note in settle(WORKSPACE):
        print(note, file=sys.stderr)
    with store_may_be_away(store.uri):
        view = save_view(store)
    if store.uri.startswith("http"):
        print(f"{without_credentials(store.uri).rstrip('/')}/{view}")
        if where := login_of(store.uri):
            print(f"log in with the user and password of {where}")
        return
    print(f"http://{HOST}:{port}/{view}", flush=True)
    refuse_taken_port(port)
    # Without the job runner and with one worker it is 2 processes and 0.5 GB, not 13 and 2.6 GB.
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    os.environ["MLFLOW_BACKEND_STORE_URI"] = store.uri  # not an argument, which `ps` shows: it may hold a password
    command = ["mlflow", "ui", "--host", HOST, "--port", str(port), "--workers", "1"]
    os.execv(sys.executable, [sys.executable, "-m", *command])


def port_of(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= LAST_PORT:
        return int(text)
    raise ConfigError(f"PORT={text} is no port; give a whole number from 1 to {LAST_PORT}: make ui PORT=5000")


def login_of(uri: str) -> str | None:
    """Return the variables that hold a server's login, which is not shown."""
    if "@" in urlsplit(uri).netloc:
        return "MLFLOW_TRACKING_URI"
    return "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" if "MLFLOW_TRACKING_USERNAME" in os.environ else None


def refuse_taken_port(port: int) -> None:
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise BusyError(f"port {port} is taken, perhaps by pages that are open already; choose another: make ui PORT={port + 1}")


if __name__ == "__main__":
    run_command("ui", main)
