"""How the points of a search are drawn: as options of optuna's samplers and pruners, and as rows of a grid."""

import warnings
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import Trial

from pipeline.config.search import Entry, Search, Settings
from pipeline.config.sweep_words import Options
from pipeline.search.rows import Value

REDUCTION = 3  # of successive halving: a third goes on, as Hyperband's paper recommends (Li et al., 2018: 3 or 4)

Values = dict[str, Value]  # name of an entry -> value


def sampler_of(settings: Settings, trials: int) -> BaseSampler:
    """Return what draws the next point. trials: rows before it; no generator has a state that a restart would begin anew."""
    seed = int(np.random.SeedSequence([settings.seed, trials]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if settings.sampler == "tpe":  # constant_liar: trials at work count as bad, so that two workers look in different places
            return TPESampler(seed=seed, n_startup_trials=settings.startup, constant_liar=True)
        if settings.sampler == "qmc":  # one sequence, of which each trial takes the next number
            return QMCSampler(seed=settings.seed, scramble=True, warn_independent_sampling=False)
        return RandomSampler(seed=seed)


def pruner_of(settings: Settings) -> BasePruner:
    """Return what decides after each epoch whether a trial is given up."""
    if settings.pruner == "median":
        return MedianPruner(n_startup_trials=settings.startup, n_warmup_steps=settings.warmup)
    if settings.pruner == "halving":
        return SuccessiveHalvingPruner(min_resource=max(1, settings.warmup), reduction_factor=REDUCTION)
    if settings.pruner == "hyperband":
        return HyperbandPruner(min_resource=max(1, settings.warmup), reduction_factor=REDUCTION)
    return NopPruner()


def draw(trial: Trial, search: Search, only: set[str] | None = None) -> list[str]:
    """Draw a trial's values; return them as overrides. only: the names of the entries that vary here."""
    words: list[str] = []
    for entry in search.entries:
        is_wanted = only is None or entry.name in only
        if is_wanted and (not entry.when or entry.when in words):
            words.append(f"{entry.key}={_typed(_suggest(trial, entry))}")
    return words


def _suggest(trial: Trial, entry: Entry) -> Value:
    values = entry.values
    if isinstance(values, Options):
        return str(trial.suggest_categorical(entry.name, values.texts))
    if values.is_whole:
        return trial.suggest_int(entry.name, int(values.low), int(values.high), step=int(values.step or 1), log=values.is_log)
    return trial.suggest_float(entry.name, values.low, values.high, step=values.step, log=values.is_log)


def _typed(value: Value) -> str:
    return value if isinstance(value, str) else repr(value)


def grid(search: Search) -> Iterator[Values]:
    """Yield all points; a key with a condition varies where that holds."""
    always = [entry for entry in search.entries if not entry.when]
    for point in _product(always):
        chosen = {f"{entry.key}={point[entry.name]}" for entry in always}
        for below in _product([entry for entry in search.entries if entry.when in chosen]):
            yield point | below


def _product(entries: list[Entry]) -> Iterator[Values]:
    lists: list[list[Any]] = [_all(entry) for entry in entries]
    for values in product(*lists):
        yield {entry.name: value for entry, value in zip(entries, values, strict=True)}


def _all(entry: Entry) -> list[Value]:
    if isinstance(entry.values, Options):
        return list(entry.values.texts)
    return [int(text) if entry.values.is_whole else float(text) for text in entry.values.texts()]
