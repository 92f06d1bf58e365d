"""A value of the environment reaches no file: oc.env refuses in the project's processes and in DVC's, however a text leads to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.utils.hydra import compose_and_dump

from pipeline.config.compose import resolved
from pipeline.config.errors import ConfigError
from tests.config.copies import LOCAL, Copy
from tests.project import ROOT, Project, cloned

VALUE = "-".join(("aardvark", "7F3A"))  # of the variable TEST_SECRET; looks like no secret, and stands in no file of the project

FORMS = {
    "alone": "${oc.env:TEST_SECRET}",
    "within text": "a-${oc.env:TEST_SECRET}",
    "decoded": "${oc.decode:${oc.env:TEST_SECRET}}",
    "as a default": "${oc.env:NOT_SET,${oc.env:TEST_SECRET}}",
    "through a name put together": "${oc.${oc.decode:env}:TEST_SECRET}",
}
WORDS = "reads the environment, and what it reads would end up in params.yaml, git and MLflow; write the value itself"


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SECRET", VALUE)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_dvcs_composition_stops_before_it_writes(form: str, conf: Path, tmp_path: Path) -> None:
    written = tmp_path / "params.yaml"
    with pytest.raises(Exception, match=f"tracking.experiment {WORDS}"):
        compose_and_dump(str(written), str(conf), None, "config", str(ROOT), [f"tracking.experiment='{form}'"])
    assert not written.exists()


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("dataset.sources.mirrors=['${oc.env:TEST_SECRET}']", "dataset.sources.mirrors[0]"),
        ("dataset.splits={train: '${oc.env:TEST_SECRET}'}", "dataset.splits.train"),
        ("+model.layers.x.deep=[{a: '${oc.env:TEST_SECRET}'}]", "model.layers.x.deep[0].a"),
    ],
)
def test_dvcs_composition_stops_for_one_in_a_list_or_a_mapping(override: str, key: str, conf: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="reads the environment") as refused:
        compose_and_dump(str(tmp_path / "params.yaml"), str(conf), None, "config", str(ROOT), [override])
    assert str(refused.value).startswith(f"{key} {WORDS}")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return cloned(tmp_path_factory.mktemp("environment") / "project")


def keeping(root: Path) -> Iterator[Path]:
    """Yield the files that hold the value; git's objects are compressed, so they are asked for apart."""
    yield from (path for path in root.rglob("*") if path.is_file() and VALUE.encode() in path.read_bytes())


@pytest.mark.parametrize("way", [[], ["--queue"], ["--temp"]], ids=lambda way: way[0] if way else "workspace")
def test_an_experiment_is_refused_and_keeps_nothing(way: list[str], clone: Project) -> None:
    objects = clone.ok("git", "count-objects").output
    ran = clone.run("dvc", "exp", "run", *way, "-S", "tracking.experiment=${oc.env:TEST_SECRET}")
    assert ran.code != 0
    assert f"tracking.experiment {WORDS}" in ran.output
    assert VALUE not in ran.output
    assert list(keeping(clone.root)) == []
    assert clone.ok("git", "status", "--porcelain").output == ""
    assert clone.ok("git", "count-objects").output == objects
    assert clone.ok("dvc", "queue", "status").output.startswith("No experiment tasks in the queue")


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_live_run_names_the_word(form: str, project: Copy) -> None:
    with pytest.raises(ConfigError, match=WORDS) as refused:
        project.check_live(f"tracking.experiment='{form}'")
    assert str(refused.value).startswith("the command line (tracking.experiment=")
    assert list(keeping(project.root)) == []


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("path", [LOCAL, "params.yaml", "conf/tracking/mlflow.yaml"])
def test_one_that_a_file_holds_is_refused_with_its_line(path: str, form: str, project: Copy) -> None:
    if path == LOCAL:
        project.write(LOCAL, f"# @package _global_\ntracking:\n  experiment: '{form}'\n")
    elif path == "params.yaml":
        project.type("tracking.experiment", form)
    else:
        project.edit(path, "experiment: images", f"experiment: '{form}'")
    before = project.files
    with pytest.raises(ConfigError, match=rf"^{path}:\d+: tracking\.experiment {WORDS}"):
        project.configure()
    assert project.files == before


def test_other_interpolations_are_as_they_were() -> None:
    assert resolved({"a": "${oc.decode:'3'}", "b": "${a}", "c": "${oc.select:d,4}"}) == {"a": 3, "b": 3, "c": 4}
