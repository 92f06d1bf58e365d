"""A training at work, as the driver sees it, and how it may fail."""

import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

from pipeline.search.task import Task
from pipeline.search.trial import Ended


@dataclass
class Running:
    """A trial at work. heard: when it last told something."""

    task: Task
    process: ForkServerProcess
    connection: Connection
    heard: float = field(default_factory=time.monotonic)
    claims: str | None = None  # its training's key, while it waits for an equal trial
    ended: Ended | None = None
    is_hanging: bool = False
    is_closed: bool = False  # nothing more will be told
    is_equal: bool = False  # it has the result of an equal training


@dataclass(frozen=True)
class Failure:
    """The training by which a trial fails. again: whether another attempt may end otherwise; counts: among a point's attempts."""

    task: Task
    reason: str
    again: bool
    counts: bool = True
