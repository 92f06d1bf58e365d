"""The MLflow experiment that the runs join, found again after a person has renamed or deleted it."""

from itertools import count

from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage, ViewType
from mlflow.exceptions import MlflowException

from pipeline.tracking.notes import note
from pipeline.tracking.search import conditions, every

CONFIGURED = "image-line.experiment"  # tag: the name that the config has for it
SEEN = "image-line.name"  # tag: the name that it had when we told of it
REFUSALS = {"PERMISSION_DENIED", "INVALID_STATE", "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST", "NOT_IMPLEMENTED"}


def joined(client: MlflowClient, name: str, artifacts: str | None, is_fresh: bool) -> Experiment:
    """Return the experiment of this name in the config; one that was renamed or deleted is told of in a line.

    A renamed one is followed, by its tag. A deleted one is restored, as the runs that were deleted with it can't be found
    otherwise. Where that is refused, or there is none, it is made.
    artifacts: their place then. is_fresh: whether the store is as new, so that there is nothing to tell."""
    found = client.get_experiment_by_name(name)
    if not found or found.lifecycle_stage == LifecycleStage.DELETED:
        found = _tagged(client, name) or found
    if found and (found.lifecycle_stage == LifecycleStage.ACTIVE or _restored(client, found)):
        return _followed(client, found, name)
    made = _made(client, name, artifacts)
    if found:
        note(f"MLflow's experiment {found.name} was deleted, and it refuses to restore it; runs join the new experiment {made.name}")
    elif not is_fresh:
        note(f"MLflow had no experiment {name}; it is made")
    return made


def _tagged(client: MlflowClient, name: str) -> Experiment | None:
    """Return the experiment that had this name once, rather one that is not deleted."""
    wanted = conditions({f"tags.`{CONFIGURED}`": name})
    search = every(client.search_experiments, view_type=ViewType.ALL, filter_string=wanted)
    found = [experiment for experiment in search if experiment.tags.get(CONFIGURED) == name]
    return min(found, key=lambda experiment: experiment.lifecycle_stage == LifecycleStage.DELETED, default=None)


def _restored(client: MlflowClient, deleted: Experiment) -> bool:
    try:
        client.restore_experiment(deleted.experiment_id)
    except MlflowException as error:
        if error.error_code not in REFUSALS:
            raise
        return False
    note(f"MLflow's experiment {deleted.name} was deleted; it is restored, with its runs")
    return True


def _followed(client: MlflowClient, found: Experiment, name: str) -> Experiment:
    """Return the experiment, tagged so that it is found again under any name."""
    if found.name != name and found.tags.get(SEEN) != found.name:
        note(f"MLflow's experiment {name} is called {found.name} now; runs still join it (tracking.experiment={name})")
        client.set_experiment_tag(found.experiment_id, SEEN, found.name)
    if found.tags.get(CONFIGURED) != name:
        client.set_experiment_tag(found.experiment_id, CONFIGURED, name)
    return found


def _made(client: MlflowClient, name: str, artifacts: str | None) -> Experiment:
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    free = next(free for free in names if not client.get_experiment_by_name(free))
    made = client.create_experiment(free, artifacts, {CONFIGURED: name, SEEN: free})
    return client.get_experiment(made)
