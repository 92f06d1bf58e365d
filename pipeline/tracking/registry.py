"""The model registry: a bundle becomes a version once, and champion where it is better on the same data's validation images."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"  # a model from the store must not run code

import mlflow
import numpy as np
import torch
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from numpy.typing import NDArray

from pipeline.bundle import Bundle
from pipeline.config.errors import DataError, NetworkError
from pipeline.tracking.store import Store

CHAMPION = "champion"
SELECTED_BY = "validation/loss"


def register(store: Store, bundle: Bundle, sample: NDArray[np.uint8], may_lead: bool) -> str:
    """Register the bundle's network with its preprocessing in the run that trained it; return a sentence on what came of it.

    sample: uint8 (B, H, W, C) with B of two or more, the input example. may_lead: whether it may become champion,
    which it does where none stands, or where the standing one has the larger validation loss on the same data."""
    name = store.config.model
    with FileLock(store.lock("registry")), _mlflows_default(store):
        version = _version_of(store.client, name, bundle) or _add_version(store, bundle, sample)
        told = f"registered as {name} version {version.version}"
        if not may_lead:
            return told
        champion = _champion(store.client, name)
        if champion and champion.version != version.version and (why := _why_not(version, champion)):
            return f"{told}; version {champion.version} stays {CHAMPION}: {why}"
        store.client.set_registered_model_alias(name, CHAMPION, str(version.version))
        return f"{told}, the {CHAMPION}"


def crown(store: Store, number: str) -> str:
    """Make a version champion because a person says so. Raises DataError where there is no such version."""
    name = store.config.model
    with FileLock(store.lock("registry")):
        try:
            version = store.client.get_model_version(name, number)
        except MlflowException:
            known = sorted(int(version.version) for version in store.client.search_model_versions(f"name = '{name}'"))
            raise DataError(f"{name} has no version {number}; there are {', '.join(map(str, known)) or 'none'}") from None
        store.client.set_registered_model_alias(name, CHAMPION, number)
    return f"{name} version {number} is the {CHAMPION}: {_figures(version)}"


def _version_of(client: MlflowClient, name: str, bundle: Bundle) -> ModelVersion | None:
    found = client.search_model_versions(f"name = '{name}'")
    return next((version for version in found if version.tags.get("bundle") == bundle.digest), None)


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException:
        return None


def _why_not(version: ModelVersion, champion: ModelVersion) -> str:
    """Return why the champion stays, or nothing where the version is better. Test figures are shown, never selected on."""
    if champion.tags["data_digest"] != version.tags["data_digest"]:
        command = f"python -m pipeline.command.champion {version.version}"
        return f"it was selected on other data, so their validation figures do not compare; `{command}` changes it"
    if float(version.tags[SELECTED_BY]) < float(champion.tags[SELECTED_BY]):
        return ""
    return f"{_figures(champion)}; this one {_figures(version)}"


def _figures(version: ModelVersion) -> str:
    test = f", test accuracy {float(version.tags['test/accuracy']):.4f}" if "test/accuracy" in version.tags else ""
    return f"{SELECTED_BY.replace('/', ' ')} {float(version.tags[SELECTED_BY]):.4f}{test}"


def _add_version(store: Store, bundle: Bundle, sample: NDArray[np.uint8]) -> ModelVersion:
    name = store.config.model
    run = store.run_of(bundle.digest, os.environ.get("DVC_EXP_NAME"))
    if not run:
        raise NetworkError(f"the run of bundle {bundle.digest[:12]} has not arrived in the MLflow store; repeat when it has")
    model_id, uri = _log_model(store, bundle, run.info.run_id, sample)
    if not store.client.search_registered_models(f"name = '{name}'"):
        store.client.create_registered_model(name)
    test = {metric: value for metric, value in run.data.metrics.items() if metric.startswith("test/")}
    scores = {metric: str(value) for metric, value in (bundle.validation | test).items()}
    tags = {"bundle": bundle.digest, "data_digest": bundle.manifest.data_digest, **scores}
    return store.client.create_model_version(name, uri, run.info.run_id, tags, model_id=model_id)


def _log_model(store: Store, bundle: Bundle, run_id: str, sample: NDArray[np.uint8]) -> tuple[str, str]:
    """Store the network in the run; return the logged model's id and URI."""
    example = sample.astype(np.float32)  # (B, H, W, C)
    predictor = bundle.predictor()
    with torch.no_grad():
        probabilities = predictor(torch.from_numpy(example)).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.export's and MLflow's own deprecations
        model = mlflow.initialize_logged_model(name="model", source_run_id=run_id)
        logged = mlflow.pytorch.log_model(
            predictor,
            name="model",
            input_example=example,
            signature=infer_signature(example, probabilities),
            pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],  # to infer them would take 6 s
            metadata={"classes": bundle.manifest.classes, "bundle": bundle.digest},
            model_id=model.model_id,
        )
    return logged.model_id, logged.model_uri


@contextmanager
def _mlflows_default(store: Store) -> Iterator[None]:
    """Make the store the one that MLflow's functions write to; afterwards leave no trace, also not in the environment."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(store.uri)
    mlflow.set_experiment(experiment_id=store.experiment)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(cast(str, None))  # unset, which its signature does not say that it takes
        if given is not None:
            os.environ["MLFLOW_TRACKING_URI"] = given
