"""End a process with the one that it works for: killed outright, that one cannot tell it."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

POLL = 0.5  # seconds between two looks whether the other process lives


def is_alive(pid: int, born: float | None = None) -> bool:
    """Tell whether a process runs, and is the one that started at `born`, in seconds since 1970: process ids are reused."""
    try:
        process = psutil.Process(pid)
        is_zombie = process.status() == psutil.STATUS_ZOMBIE  # that nobody reaps in some containers
        return not is_zombie and born in (None, process.create_time())
    except psutil.NoSuchProcess:
        return False


def end_at_once() -> None:
    """End this process without cleaning up."""
    os._exit(1)


def end_with(pid: int, end: Callable[[], object] = end_at_once) -> None:
    """Call `end`, which ends this process, within half a second of the death of process `pid`; once, however often it is asked for.

    pid: 0, a parent outside this container, is not seen to die."""
    name = f"end with {pid}"
    if pid and not any(thread.name == name for thread in threading.enumerate()):
        threading.Thread(target=_watch, args=(pid, end), name=name, daemon=True).start()


def _watch(pid: int, end: Callable[[], object]) -> None:
    with suppress(psutil.NoSuchProcess):
        born = psutil.Process(pid).create_time()
        while is_alive(pid, born):
            time.sleep(POLL)
    end()
