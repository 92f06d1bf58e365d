"""A running training as the driver sees it, and how it may fail."""

import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

from pipeline.search.task import Task
from pipeline.search.trial import Ended


@dataclass
class Running:
    """One training of a trial, running in a process of its own. last_message: its time, by the monotonic clock."""

    task: Task
    process: ForkServerProcess
    connection: Connection
    last_message: float = field(default_factory=time.monotonic)
    claims: str | None = None  # key of its training, until its claim is answered
    ended: Ended | None = None
    is_hanging: bool = False
    is_closed: bool = False  # the connection has ended
    is_duplicate: bool = False  # it takes the result of an equal training


@dataclass(frozen=True)
class Failure:
    """A failed training, and with it its trial. again: whether a retry may succeed; counts: as one of the point's attempts."""

    task: Task
    reason: str
    again: bool
    counts: bool = True
