"""Whatever a person or a disk does to the store: no run is lost, none is twice, none seems to run, and one line tells of it."""

import dataclasses
import shutil
import sqlite3
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import cast

import mlflow
import numpy as np
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun
from mlflow.entities import ViewType

from pipeline.bundle import Bundle
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking import relocation
from pipeline.tracking.events import EventLog, waiting
from pipeline.tracking.registry import register
from pipeline.tracking.relocation import embedded
from pipeline.tracking.resume import resumed_run
from pipeline.tracking.run import Run, begin
from pipeline.tracking.store import Store
from pipeline.tracking.sync import Upload, sync_waiting

SAMPLE = np.zeros((2, 8, 8, 1), np.uint8)  # (B, H, W, C)


@dataclasses.dataclass
class Project:
    """A project whose store has the run of one training."""

    home: Path
    cfg: Config
    manifest: Manifest
    bundle: Bundle

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(embedded(self.home), embedded(self.home))

    @property
    def experiment(self) -> str:
        return next(found.experiment_id for found in self.client.search_experiments(ViewType.ALL) if found.experiment_id != "0")

    @property
    def run(self) -> str:
        [run] = self.client.search_runs([self.experiment], run_view_type=ViewType.ALL)
        return str(run.info.run_id)

    def train(self, training: str = "t1", status: str | None = "FINISHED", epochs: int = 1) -> None:
        """Tell of a training, as its process does; without a status it dies."""
        run = Run(EventLog(self.home))
        begin(run, dataclasses.asdict(self.cfg), self.manifest, training=training)
        for epoch in range(1, epochs + 1):
            run.log_metrics({"validation/loss": 1.1 / epoch}, epoch)
        if status == "FINISHED":
            run.tag(bundle=self.bundle.digest)
        if status:
            run.end(status)
        run.events.close()

    def evaluate(self) -> None:
        """The next command: it adds to the run of the training."""
        with resumed_run(self.cfg, self.bundle, self.home) as run:
            run.log_metrics({"test/loss": 0.5}, 1)

    def register(self) -> str:
        """The command after that."""
        return register(Store(self.cfg.tracking, self.home), self.bundle, SAMPLE, may_lead=True)

    def purge(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow's own, of its types
            from mlflow.cli import gc
        uri = embedded(self.home)
        result = CliRunner().invoke(gc, ["--backend-store-uri", uri, "--tracking-uri", uri], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        mlflow.set_tracking_uri(cast(str, None))  # which it sets for all that comes

    def sql(self, statement: str) -> None:
        database = sqlite3.connect(self.home / "mlflow.db")
        with database:
            database.execute(statement)
        database.close()


@pytest.fixture(scope="module")
def template(small_config: Config, manifest: Manifest, written_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Made once, as MLflow takes seconds to make a database."""
    made = Project(tmp_path_factory.mktemp("template"), small_config, manifest, Bundle.read(written_bundle))
    made.train()
    made.evaluate()
    assert made.register() == "registered as mnist version 1, the champion"
    assert waiting(made.home) == []
    return made


@pytest.fixture
def project(template: Project, tmp_path: Path, cfg: Config) -> Project:
    home = Path(shutil.copytree(template.home, tmp_path / "home"))
    assert relocation.mend(embedded(home), home) == [template.home]
    return dataclasses.replace(template, home=home, cfg=cfg)


def runs_of(project: Project) -> list[MlflowRun]:
    """Return all runs that a person sees on the pages."""
    experiments = [found.experiment_id for found in project.client.search_experiments(ViewType.ACTIVE_ONLY)]
    return list(project.client.search_runs(experiments, run_view_type=ViewType.ACTIVE_ONLY))


def notes(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line]


def delete_experiment(project: Project) -> None:
    project.client.delete_experiment(project.experiment)


def delete_experiment_that_stays_deleted(project: Project) -> None:
    delete_experiment(project)
    project.sql(
        "create trigger refuse before update of lifecycle_stage on experiments when new.lifecycle_stage = 'active' "
        "begin select raise(abort, 'not yours'); end"
    )


def purge_experiment(project: Project) -> None:
    delete_experiment(project)
    project.purge()


def rename_experiment(project: Project) -> None:
    project.client.rename_experiment(project.experiment, 'mine "now"')


def rename_and_delete_experiment(project: Project) -> None:
    rename_experiment(project)
    delete_experiment(project)


def delete_run(project: Project) -> None:
    project.client.delete_run(project.run)


def delete_run_and_experiment(project: Project) -> None:
    delete_run(project)
    delete_experiment(project)


def purge_run(project: Project) -> None:
    delete_run(project)
    project.purge()


def lose_database(project: Project) -> None:
    (project.home / "mlflow.db").unlink()


def lose_artifacts(project: Project) -> None:
    shutil.rmtree(project.home / "mlruns")


def lose_artifacts_of_run(project: Project) -> None:
    shutil.rmtree(project.home / "mlruns" / "images" / project.run)


def move(project: Project) -> None:
    project.home = project.home.rename(project.home.parent / "else where")


def copy(project: Project) -> None:
    project.home = Path(shutil.copytree(project.home, project.home.parent / "copy"))


def nest_run_in_deleted_parent(project: Project) -> None:
    parent = project.client.create_run(project.experiment).info.run_id
    for run in project.client.search_runs([project.experiment]):
        if run.info.run_id != parent:
            project.client.set_tag(run.info.run_id, "mlflow.parentRunId", parent)
    project.client.delete_run(parent)


FROM_BUNDLE = "MLflow had no run of this network; it is created from the bundle, without the times of its training"
HARM: dict[Callable[[Project], None], list[str]] = {
    delete_experiment: ["MLflow's experiment images was deleted; it is restored, with its runs"],
    rename_experiment: ['MLflow\'s experiment images is called mine "now" now; runs still join it'],
    rename_and_delete_experiment: ['MLflow\'s experiment mine "now" was deleted; it is restored', "is called"],
    delete_run: ["was deleted; it is restored, as more is logged to it"],
    delete_run_and_experiment: ["MLflow's experiment images was deleted"],
    purge_run: [FROM_BUNDLE],
    purge_experiment: ["MLflow had no experiment images; it is created", FROM_BUNDLE],
    delete_experiment_that_stays_deleted: [
        "MLflow's experiment images was deleted, and it refuses to restore it; runs join the new experiment images-2",
        FROM_BUNDLE,
    ],
    lose_database: [FROM_BUNDLE],
    lose_artifacts: ["mlruns is missing, and with it the pictures, files and models of 1 run; put it back beside mlflow.db"],
    lose_artifacts_of_run: [],
    move: ["the project was moved or copied here from"],
    copy: ["the project was moved or copied here from"],
    nest_run_in_deleted_parent: [],
}


@pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__name__)
def test_a_harmed_store_loses_no_run_and_says_so_once(
    harm: Callable[[Project], None], project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    harm(project)
    capsys.readouterr()
    project.evaluate()
    told = notes(capsys)
    assert [words in line for words, line in zip(HARM[harm], told, strict=True)] == [True] * len(told), told
    [run] = runs_of(project)
    assert (run.info.status, run.data.metrics["test/loss"], run.data.metrics["validation/loss"]) == ("FINISHED", 0.5, 1.1)
    assert waiting(project.home) == []
    project.evaluate()
    assert notes(capsys) == []
    assert [found.info.run_id for found in runs_of(project)] == [run.info.run_id]


@pytest.mark.parametrize(
    ("harm", "line"),
    [
        (delete_experiment, "MLflow's experiment images was deleted; it is restored, with its runs"),
        (rename_experiment, None),  # which an upload that has begun does not notice
        (delete_run, "was deleted; it is restored, as more is logged to it"),
        (purge_run, "; it is created again from journals/"),
        (purge_experiment, "; it is created again from journals/"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
@pytest.mark.parametrize("is_new_process", [False, True])
def test_a_run_that_is_harmed_while_it_trains_keeps_all_that_is_told(
    harm: Callable[[Project], None], line: str | None, is_new_process: bool, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.client.delete_run(project.run)
    project.purge()
    run = Run(EventLog(project.home))
    begin(run, dataclasses.asdict(project.cfg), project.manifest, training="t2")
    run.log_metrics({"validation/loss": 1.0}, 1)
    upload = Upload(run.events.folder, project.home)
    upload.catch_up()
    harm(project)
    run.log_metrics({"validation/loss": 0.5}, 2)
    run.end("FINISHED")
    run.events.close()
    capsys.readouterr()
    assert (Upload(run.events.folder, project.home) if is_new_process else upload).catch_up()
    told = notes(capsys)
    assert len(told) <= (2 if harm is purge_experiment else 1)
    assert not line or line in told[-1 if is_new_process else 0]
    [found] = runs_of(project)
    points = project.client.get_metric_history(found.info.run_id, "validation/loss")
    assert [(point.step, point.value) for point in points] == [(1, 1.0), (2, 0.5)]
    assert (found.info.status, found.data.params["training.epochs"]) == ("FINISHED", "3")
    assert waiting(project.home) == []


@pytest.mark.parametrize("harm", [delete_experiment, rename_experiment, delete_run, purge_run, move, copy], ids=lambda harm: harm.__name__)
def test_a_training_that_goes_on_finds_its_harmed_run_or_tells_all_of_it_again(harm: Callable[[Project], None], project: Project) -> None:
    project.client.delete_run(project.run)
    project.purge()
    project.train("t2", status=None, epochs=1)
    assert sync_waiting(project.home) == []
    harm(project)
    project.train("t2", epochs=2)
    assert sync_waiting(project.home) == []
    [found] = runs_of(project)
    points = project.client.get_metric_history(found.info.run_id, "validation/loss")
    assert (found.info.status, [point.step for point in points]) == ("FINISHED", [1, 2])


# The registry


def delete_model(project: Project) -> None:
    project.client.delete_registered_model("mnist")


def delete_version(project: Project) -> None:
    project.client.delete_model_version("mnist", "1")


def rename_model(project: Project) -> None:
    project.client.rename_registered_model("mnist", 'it\'s "mine"')


def lose_files_of_version(project: Project) -> None:
    shutil.rmtree(project.home / "mlruns" / "images" / "models")


def delete_logged_model(project: Project) -> None:
    [model] = project.client.search_logged_models([project.experiment])
    project.client.delete_logged_model(model.model_id)


def delete_alias(project: Project) -> None:
    project.client.delete_registered_model_alias("mnist", "champion")


def promote_a_stranger(project: Project) -> None:
    version = project.client.create_model_version("mnist", str(project.home / "elsewhere"))
    project.client.set_registered_model_alias("mnist", "champion", version.version)


def delete_promoted_stranger(project: Project) -> None:
    promote_a_stranger(project)
    project.client.delete_model_version("mnist", "2")


CHANGES = "`python -m pipeline.command.champion 1 --model mnist` changes it"
HARM_TO_REGISTRY = {
    delete_model: ("registered as mnist version 1, the champion", 0),
    delete_version: ("registered as mnist version 2, the champion", 0),
    rename_model: ('registered as it\'s "mine" version 1, the champion', 1),
    lose_files_of_version: ("registered as mnist version 2, the champion", 0),
    delete_logged_model: ("registered as mnist version 1, the champion", 0),
    delete_alias: ("registered as mnist version 1, the champion", 0),
    delete_run: ("registered as mnist version 1, the champion", 1),
    purge_run: ("registered as mnist version 1, the champion", 1),
    promote_a_stranger: (
        "registered as mnist version 1; version 2 stays champion: it does not say what it was selected by (tags data_digest, "
        f"selected_by, loss); {CHANGES}",
        0,
    ),
    delete_promoted_stranger: ("registered as mnist version 1, the champion", 0),
    move: ("registered as mnist version 1, the champion", 1),
    copy: ("registered as mnist version 1, the champion", 1),
}


@pytest.mark.parametrize("harm", HARM_TO_REGISTRY, ids=lambda harm: harm.__name__)
def test_a_harmed_registry_gets_its_version_again(
    harm: Callable[[Project], None], project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    harm(project)
    capsys.readouterr()
    project.evaluate()
    said, lines = HARM_TO_REGISTRY[harm]
    assert project.register() == said
    assert len(notes(capsys)) == lines
    [run] = runs_of(project)
    assert run.info.status == "FINISHED"
