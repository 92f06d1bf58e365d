"""Start MLflow's pages on this machine: make ui [PORT=5000]"""

import os
import socket
import sys

from pipeline.config.entry import run_command
from pipeline.config.errors import BusyError
from pipeline.config.places import WORKSPACE

HOST = "127.0.0.1"  # nobody else can reach the pages, which have no login


def main() -> None:
    """Serve the project's runs on 127.0.0.1 and print the address of their chart view."""
    from pipeline.config.composition import compose, parse, resolved
    from pipeline.tracking.delivery import settle
    from pipeline.tracking.store import Store
    from pipeline.tracking.view import save_view

    port = int(os.environ.get("PORT", "5000"))
    store = Store(parse(resolved(compose(WORKSPACE / "conf"))).tracking, WORKSPACE)
    for note in settle(WORKSPACE):
        print(note, file=sys.stderr)
    is_server = store.uri.startswith("http")
    server = store.uri.rstrip("/") if is_server else f"http://{HOST}:{port}"
    print(f"{server}/{save_view(store)}", flush=True)
    if is_server:
        return
    refuse_taken_port(port)
    # Without the job runner and with one worker it is 2 processes and 0.5 GB, not 13 and 2.6 GB.
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    os.environ["MLFLOW_BACKEND_STORE_URI"] = store.uri  # not an argument, which `ps` shows: it may hold a password
    command = ["mlflow", "ui", "--host", HOST, "--port", str(port), "--workers", "1"]
    os.execv(sys.executable, [sys.executable, "-m", *command])


def refuse_taken_port(port: int) -> None:
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise BusyError(f"port {port} is taken, perhaps by pages that are open already; choose another: make ui PORT={port + 1}")


if __name__ == "__main__":
    run_command("ui", main)
