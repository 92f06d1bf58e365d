"""Make, join or open the study of a sweep: what it searches is written in it, with the rows that are known from the start."""

import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

import optuna
from optuna.study import StudyDirection

from pipeline.config.errors import BusyError, ConfigError
from pipeline.config.search import Search
from pipeline.config.wording import did_you_mean, shown
from pipeline.search.rows import ONLY
from pipeline.search.sampling import Values, grid
from pipeline.search.storage import Storage

PLAN, MONITOR, ID = "plan", "monitor", "id"  # attributes of a study: what it searches, the metric that a trial returns, 8 random digits
READY = 30.0  # seconds in which another machine that makes the study has written its points


def create_study(storage: Storage, name: str, search: Search, monitor: str, stands: Values) -> optuna.Study:
    """Make a study with the rows that are known from the start, or join it where another process has made it.

    monitor: what a trial returns; a loss is to be small, anything else large. stands: the config's own values.
    Raises ConfigError where the study searches something else."""
    directions = [StudyDirection.MINIMIZE if monitor.endswith("loss") else StudyDirection.MAXIMIZE]
    directions += [StudyDirection.MINIMIZE] if search.settings.against else []
    with storage.lock():
        try:
            study = optuna.create_study(storage=storage.rdb, study_name=name, directions=directions)
        except optuna.exceptions.DuplicatedStudyError:
            study = optuna.load_study(study_name=name, storage=storage.rdb)
            _wait_for_plan(study, 0 if storage.is_local else READY)
        if PLAN not in study.user_attrs:
            _begin(study, search, monitor, stands)
    _require(study, {**search.as_json(), MONITOR: monitor})
    return study


def open_study(storage: Storage, name: str) -> optuna.Study:
    """Open a study. Raises ConfigError where there is none of this name, BusyError where it is not complete yet."""
    names = names_in(storage)
    if name not in names:
        there = f"; there are {', '.join(names)}" if names else "; none has been started"
        raise ConfigError(f"there is no sweep {name}{did_you_mean(name, names) or there}")
    study = optuna.load_study(study_name=name, storage=storage.rdb)
    if PLAN not in study.user_attrs:
        raise BusyError(f"the sweep {name} is being made; if its process was killed, repeat its `start`")
    return study


def names_in(storage: Storage) -> list[str]:
    """Return the names of the sweeps in a database."""
    return sorted(optuna.get_all_study_names(storage.rdb))


def _wait_for_plan(study: optuna.Study, seconds: float) -> None:
    end = time.monotonic() + seconds
    while PLAN not in study.user_attrs and time.monotonic() < end:
        time.sleep(0.5)


def _begin(study: optuna.Study, search: Search, monitor: str, stands: Values) -> None:
    """Write the first rows, then the plan; one that was killed here is completed by the next process."""
    points: Iterable[Values] = grid(search) if search.settings.sampler == "grid" else ()
    if search.settings.first and search.settings.sampler != "grid":
        study.enqueue_trial(stands, user_attrs={ONLY: list(stands)}, skip_if_exists=True)
    for point in points:
        study.enqueue_trial(point, skip_if_exists=True)
    study.set_user_attr(MONITOR, monitor)
    study.set_user_attr(ID, os.urandom(4).hex())
    study.set_user_attr(PLAN, search.as_json())


def _require(study: optuna.Study, wanted: Mapping[str, Any]) -> None:
    found = study.user_attrs[PLAN] | {MONITOR: study.user_attrs[MONITOR]}
    name = study.study_name
    for key in wanted:
        if wanted[key] != found[key]:
            raise ConfigError(
                f"there is a sweep {name} with other {key}: {shown(found[key])}, here {shown(wanted[key])}. "
                f"`resume {name}` goes on with that one; another search needs another name"
            )
