"""Interpreters that are ready: `python -m …`, `python -c …` and `dvc …` of a test begin with the packages imported, which takes most of
their time.

The process of `Warm` has imported them and forks for each command; a `python` and a `dvc` first on the PATH hand commands over to it.
What runs is the real command, in a process of its own, with its own environment, folder, streams and exit code. Not the same is what
it is a child of: tests that kill, or that look at processes, go without."""

import atexit
import gc
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

# From the shims: the words, the folder and the environment as JSON, and the three streams; back: the exit code.
SHIM = """#!{python} -SE
import array, json, os, socket, sys
words = ["{name}", *sys.argv[1:]]
if words[0] == "python" and not {{"-m", "-c"}} & set(words[1:4:2]):
    os.execv("{python}", ["{python}", *words[1:]])
with socket.socket(socket.AF_UNIX) as server:
    server.connect("{address}")
    streams = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
    server.sendmsg([json.dumps([words, os.getcwd(), dict(os.environ)]).encode() + b"\\n"], streams)
    sys.exit(int(server.makefile().readline() or 1))
"""
PACKAGES = (
    "torch",
    "lightning",
    "albumentations",
    "cv2",
    "hydra",
    "matplotlib.pyplot",
    "pandas",
    "mlflow",
    "mlflow.tracking",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "dvc.cli",
    "dvc.commands.repro",
)
START = 300  # seconds that the imports may take on a busy machine


class Warm:
    """The folder of the shims, which belongs first on the PATH of those who run commands; ends with the `with` statement."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, address = folder, folder / "socket"
        folder.mkdir(parents=True)
        for name in ("python", "dvc"):
            shim = folder / name
            shim.write_text(SHIM.format(python=sys.executable, name=name, address=address))
            shim.chmod(0o755)
        command = (sys.executable, "-m", "tests.warm", address)
        self.server = subprocess.Popen(command, cwd=Path(__file__).parents[1], env=environment, stdin=subprocess.DEVNULL)
        end = time.monotonic() + START
        while not address.exists():
            if self.server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the packages were not imported in {START} seconds")
            time.sleep(0.1)

    def __enter__(self) -> "Warm":
        return self

    def __exit__(self, *_: object) -> None:
        self.server.terminate()
        self.server.wait()


def forget_own_modules() -> None:
    """Take out what of this tree was imported, so that the copy in the working folder is."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("pipeline", "tests")]:
        del sys.modules[name]


def serve(address: str) -> None:
    """Take commands, each in a fork of this process; return in the process that is to run one."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"{address}.new")
    listening.listen(16)
    Path(f"{address}.new").rename(address)
    while True:
        asking, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            _take_over(asking)
            return
        asking.close()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _take_over(asking: socket.socket) -> None:
    """Become the process that was asked for, in a fork; this one waits for it and says how it ended."""
    data, streams, _, _ = socket.recv_fds(asking, 1 << 20, 3)
    while not data.endswith(b"\n"):
        data += asking.recv(1 << 20)
    words, folder, environment = json.loads(data)
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        asking.sendall(f"{code if code >= 0 else 128 - code}\n".encode())
        os._exit(0)
    asking.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = words


def be() -> None:
    """Be the command of sys.argv."""
    forget_own_modules()
    if sys.argv[0] == "dvc":
        from dvc.cli import main

        sys.exit(main())
    sys.path[0] = str(Path.cwd())
    words = sys.argv[1:]
    if words[0] == "-W":
        warnings.simplefilter(words[1])
        words = words[2:]
    option, what = words[:2]
    if option == "-c":
        sys.argv[:] = ["-c", *words[2:]]
        exec(what, {"__name__": "__main__"})
    else:
        sys.argv[:] = words[1:]
        runpy.run_module(what, run_name="__main__", alter_sys=True)


def code_of(command: Callable[[], None]) -> int:
    """Run a command as Python runs its main module; return the exit code."""
    try:
        command()
    except SystemExit as left:
        if left.code is not None and not isinstance(left.code, int):
            print(left.code, file=sys.stderr)
            return 1
        return left.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def leave(code: int) -> NoReturn:
    """End as Python does, but without taking all apart that was imported: that takes longer than many a command."""
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code & 0xFF)


if __name__ == "__main__":
    for package in PACKAGES:
        importlib.import_module(package)
    gc.freeze()  # else each collection of a command looks through all that was imported
    serve(sys.argv[1])
    leave(code_of(be))
