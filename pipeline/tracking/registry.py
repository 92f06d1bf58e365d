"""The model registry: a bundle becomes one version, and the champion if it is better on the same validation images."""

import os
import shlex
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"  # a model from the store must not run code

import mlflow
import numpy as np
import torch
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from numpy.typing import NDArray

from pipeline.bundle import Bundle
from pipeline.config.errors import DataError, NetworkError
from pipeline.tracking.faults import note, store_may_be_away
from pipeline.tracking.model_versions import LOSS, figures, is_better, selection_tags, selection_tags_of_run, why_incomparable
from pipeline.tracking.store import Store, conditions, every

CHAMPION = "champion"
CONFIGURED = "image-line.model"  # tag of a registered model: its name in the config


def register(store: Store, bundle: Bundle, sample: NDArray[np.uint8], may_lead: bool) -> str:
    """Register the bundle's network with its preprocessing under the run that trained it; return the outcome as a sentence.

    sample: the input example, uint8 (B, H, W, C) with B of at least 2. may_lead: whether it may become champion, which it
    does if there is none, or if it beats that one by the same metric.
    Raises NetworkError where the store can't be used or lacks the run."""
    with FileLock(store.lock("registry")), store_may_be_away(store.uri), _mlflows_default(store):
        model = _model(store)
        version = _version_of(store.client, model, bundle) or _add_version(store, model, bundle, sample)
        outcome = f"registered as {model.name} version {version.version}"
        champion = _champion(store.client, model)
        if not may_lead and not (champion and champion.version == version.version):
            return f"{outcome}; `{_promotion(version)}` makes it the {CHAMPION}"
        if champion and champion.tags.get("bundle") != bundle.digest and (why := _why_not(store.client, version, bundle, champion)):
            return f"{outcome}; version {champion.version} stays {CHAMPION}: {why}"
        store.client.set_registered_model_alias(model.name, CHAMPION, str(version.version))
        return f"{outcome}, the {CHAMPION}"


def promote(store: Store, number: str) -> str:
    """Make a version the champion, whatever its metrics; return a sentence. Raises DataError where there is no such version."""
    client = store.client
    with FileLock(store.lock("registry")), store_may_be_away(store.uri):
        model = _find_model(store)
        name = model.name if model else store.config.model
        if not (version := _found(client.get_model_version, name, number)):
            known = sorted(int(version.version) for version in _versions(client, {"name": name}) if version.name == name)
            raise DataError(f"{name} has no version {number}; its versions: {', '.join(map(str, known)) or 'none'}")
        client.set_registered_model_alias(name, CHAMPION, number)
    return f"{name} version {number} is the {CHAMPION}: {figures(version.tags)}"


def _found(get: Callable[..., Any], *names: str) -> Any:
    """Call one of MLflow's get_* functions; None: the store has no such thing."""
    try:
        return get(*names)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def _model(store: Store) -> RegisteredModel:
    """Return the configured model, created if necessary, and tagged so that it is found after a rename."""
    client, name = store.client, store.config.model
    if not (model := _find_model(store)):
        return client.create_registered_model(name, {CONFIGURED: name})
    if model.tags.get(CONFIGURED) != name:
        client.set_registered_model_tag(model.name, CONFIGURED, name)
    return model


def _find_model(store: Store) -> RegisteredModel | None:
    """Return the configured model; a renamed one is found by its tag."""
    client, name = store.client, store.config.model
    if model := _found(client.get_registered_model, name):
        return cast(RegisteredModel, model)
    found = every(client.search_registered_models, filter_string=conditions({f"tags.`{CONFIGURED}`": name}))
    renamed = next((model for model in found if model.tags.get(CONFIGURED) == name), None)
    if renamed:
        note(f"the registered model {name} is called {renamed.name} now, and is still this project's (tracking.model={name})")
    return renamed


def _versions(client: MlflowClient, wanted: dict[str, str]) -> Iterator[ModelVersion]:
    return every(client.search_model_versions, filter_string=conditions(wanted))


def _version_of(client: MlflowClient, model: RegisteredModel, bundle: Bundle) -> ModelVersion | None:
    """Return the version of this bundle, if its files still exist."""
    found = (version for version in _versions(client, {"tags.bundle": bundle.digest}) if version.name == model.name)
    return next((version for version in found if version.tags.get("bundle") == bundle.digest and _has_files(client, version)), None)


def _has_files(client: MlflowClient, version: ModelVersion) -> bool:
    place = _found(client.get_model_version_download_uri, version.name, str(version.version))
    return bool(place and _found(mlflow.artifacts.list_artifacts, place))


def _champion(client: MlflowClient, model: RegisteredModel) -> ModelVersion | None:
    number = model.aliases.get(CHAMPION)
    return _found(client.get_model_version, model.name, str(number)) if number else None


def _why_not(client: MlflowClient, version: ModelVersion, bundle: Bundle, champion: ModelVersion) -> str:
    """Return why the champion stays, or "" where the bundle's version is better."""
    standing = _tags_of_older(client, champion) | champion.tags
    rival = version.tags | _selected_by(bundle)  # older releases lack some of these tags, and any may be deleted
    why = why_incomparable(rival, standing)
    if not why and not _has_files(client, champion):
        why = "its files are gone"
    if why:
        return f"{why}; `{_promotion(version)}` changes it"
    return "" if is_better(rival, standing) else f"{figures(standing)}; this one {figures(rival)}"


def _promotion(version: ModelVersion) -> str:
    """Return the command that makes a version champion."""
    return f"python -m pipeline.command.champion {version.version} --model {shlex.quote(version.name)}"


def _tags_of_older(client: MlflowClient, version: ModelVersion) -> dict[str, str]:
    """Return the selection tags of a version that was registered without them, from its run's parameters."""
    run = None if LOSS in version.tags or not version.run_id else _found(client.get_run, version.run_id)
    return selection_tags_of_run(run.data.params) if run else {}


def _add_version(store: Store, model: RegisteredModel, bundle: Bundle, sample: NDArray[np.uint8]) -> ModelVersion:
    run = store.run_of(bundle.digest, os.environ.get("DVC_EXP_NAME"))
    if not run:
        raise NetworkError(f"the run of bundle {bundle.digest[:12]} is not in the MLflow store yet; repeat when it is")
    model_id, uri = _log_model(store, bundle, run.info.run_id, sample)
    test = {metric: value for metric, value in run.data.metrics.items() if metric.startswith("test/")}
    tags = {"bundle": bundle.digest, **{metric: str(value) for metric, value in test.items()}, **_selected_by(bundle)}
    return store.client.create_model_version(model.name, uri, run.info.run_id, tags, model_id=model_id)


def _selected_by(bundle: Bundle) -> dict[str, str]:
    """Return the tags of a new version: its metrics at the kept epoch, and its selection tags."""
    metrics = {metric: str(value) for metric, value in bundle.validation.items()}
    return metrics | selection_tags(bundle.config, bundle.manifest.data_digest)


def _log_model(store: Store, bundle: Bundle, run_id: str, sample: NDArray[np.uint8]) -> tuple[str, str]:
    """Log the network to the run; return the logged model's id and URI."""
    example = sample.astype(np.float32)  # (B, H, W, C)
    predictor = bundle.predictor()
    with torch.no_grad():
        probabilities = predictor(torch.from_numpy(example)).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations within torch.export and MLflow
        model = mlflow.initialize_logged_model(name="model", source_run_id=run_id)
        logged = mlflow.pytorch.log_model(
            predictor,
            name="model",
            input_example=example,
            signature=infer_signature(example, probabilities),
            pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],  # inferring them takes 6 s
            metadata={"classes": bundle.manifest.classes, "bundle": bundle.digest},
            model_id=model.model_id,
        )
    return logged.model_id, logged.model_uri


@contextmanager
def _mlflows_default(store: Store) -> Iterator[None]:
    """Make the store the default of MLflow's fluent API, and restore the environment variables that it changes."""
    given = {name: os.environ.get(name) for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID")}
    mlflow.set_tracking_uri(store.uri)
    mlflow.set_experiment(experiment_id=store.experiment)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(cast(str, None))  # unset: its signature lacks None
        for name, value in given.items():
            os.environ.pop(name, None)
            os.environ.update({name: value} if value is not None else {})
