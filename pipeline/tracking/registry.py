"""The model registry: a bundle becomes a version once, and champion where it is better on the same data's validation images."""

import os
import warnings

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
from pipeline.tracking.store import Run, Store

CHAMPION = "champion"


def register(store: Store, bundle: Bundle, run: Run, sample: NDArray[np.uint8], may_lead: bool) -> str:
    """Register the bundle's network with its preprocessing; return a sentence on what came of it.

    sample: uint8 (B, H, W, C) with B of two or more, the input example. may_lead: whether it may become champion,
    which it does where the standing one was selected on other data or has the larger validation loss; a tie keeps it."""
    name = store.config.model
    with FileLock(store.lock("registry")):
        version = _version_of(store.client, name, bundle) or _add_version(store, bundle, run, sample)
        told = f"registered as {name} version {version.version}"
        if not may_lead:
            return told
        champion = _champion(store.client, name)
        if champion and champion.version != version.version and not _is_better(bundle, champion):
            return f"{told}; version {champion.version} stays {CHAMPION}"
        store.client.set_registered_model_alias(name, CHAMPION, str(version.version))
        return f"{told}, the {CHAMPION}"


def _version_of(client: MlflowClient, name: str, bundle: Bundle) -> ModelVersion | None:
    found = client.search_model_versions(f"name = '{name}'")
    return next((version for version in found if version.tags.get("bundle") == bundle.digest), None)


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException:
        return None


def _is_better(bundle: Bundle, champion: ModelVersion) -> bool:
    same_data = champion.tags.get("data_digest") == bundle.manifest.data_digest
    return not same_data or bundle.validation["validation/loss"] < float(champion.tags["validation/loss"])


def _add_version(store: Store, bundle: Bundle, run: Run, sample: NDArray[np.uint8]) -> ModelVersion:
    name = store.config.model
    model_id, uri = _log_model(store, bundle, run, sample)
    if not store.client.search_registered_models(f"name = '{name}'"):
        store.client.create_registered_model(name)
    scores = {metric: str(value) for metric, value in bundle.validation.items()}
    tags = {"bundle": bundle.digest, "data_digest": bundle.manifest.data_digest, **scores}
    return store.client.create_model_version(name, uri, run.id, tags, model_id=model_id)


def _log_model(store: Store, bundle: Bundle, run: Run, sample: NDArray[np.uint8]) -> tuple[str, str]:
    """Store the network in the run; return the logged model's id and URI."""
    mlflow.set_tracking_uri(store.uri)
    mlflow.set_experiment(experiment_id=store.experiment)
    example = sample.astype(np.float32)  # (B, H, W, C)
    predictor = bundle.predictor()
    with torch.no_grad():
        probabilities = predictor(torch.from_numpy(example)).numpy()
    model = mlflow.initialize_logged_model(name="model", source_run_id=run.id)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.export's and MLflow's own deprecations
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
