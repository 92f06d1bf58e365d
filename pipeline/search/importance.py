"""How much of the differences between scores each key explains: functional ANOVA (Hutter et al., ICML 2014), and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.importance import FanovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState

from pipeline.config.search import Search

FEWEST = 10  # complete trials, below which a forest learns next to nothing of a score
RESAMPLES = 20  # draws of the trials with replacement: enough for the middle 80 % of them
TREES = 16  # of a forest, for each draw: all draws together have five times as many as optuna takes for one


@dataclass(frozen=True)
class Share:
    """A key's share of the variation of the scores, 0..1; low to high: the middle 80 % of what other draws of the trials say."""

    name: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Group:
    """The shares of keys that vary together, the largest first. condition: under which they do; trials: complete ones, with all of them."""

    condition: str
    trials: int
    shares: Sequence[Share]


def importances(study: optuna.Study, search: Search) -> list[Group]:
    """Return the shares of keys that always vary, and of those below each condition; a group without enough trials has none."""
    always = [entry.name for entry in search.entries if not entry.when]
    conditions = dict.fromkeys(entry.when for entry in search.entries if entry.when)
    groups = {"": always} | {when: [*always, *(entry.name for entry in search.entries if entry.when == when)] for when in conditions}
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [_group(condition, names, complete) for condition, names in groups.items() if names]


def _group(condition: str, names: Sequence[str], complete: Sequence[FrozenTrial]) -> Group:
    trials = [trial for trial in complete if all(name in trial.params for name in names)]
    varied = [name for name in names if len({trial.params[name] for trial in trials}) > 1]
    if len(trials) < FEWEST or not varied:
        return Group(condition, len(trials), [])
    generator = np.random.default_rng(0)
    draws = [_shares([trials[i] for i in generator.integers(len(trials), size=len(trials))], varied, seed) for seed in range(RESAMPLES)]
    found = np.array([draw for draw in draws if draw])
    if not len(found):
        return Group(condition, len(trials), [])
    low, high = np.quantile(found, (0.1, 0.9), axis=0)
    shares = [Share(name, *map(float, row)) for name, *row in zip(varied, found.mean(axis=0), low, high, strict=True)]
    return Group(condition, len(trials), sorted(shares, key=lambda share: -share.mean))


def _shares(trials: Sequence[FrozenTrial], names: Sequence[str], seed: int) -> list[float]:
    """Return the names' shares in these trials; nothing where all scores are equal."""
    if len({trial.values[0] for trial in trials}) == 1:
        return []
    study = optuna.create_study()
    for trial in trials:
        study.add_trial(
            optuna.trial.create_trial(
                params={name: trial.params[name] for name in names},
                distributions={name: trial.distributions[name] for name in names},
                value=trial.values[0],
            )
        )
    found = FanovaImportanceEvaluator(n_trees=TREES, seed=seed).evaluate(study, params=list(names))
    total = sum(found.values())
    return [found[name] / total for name in names] if total else []
