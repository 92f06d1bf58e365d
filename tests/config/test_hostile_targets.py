"""Whatever a config names by `_target_`: nothing runs, nothing outside the allowed packages is imported, and its place is told."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.errors import ConfigError
from tests.config.copies import LOCAL, Copy
from tests.project import Project, cloned

HEAD = "# @package _global_\n"

# What would run, were it resolved by its name; each gets a `touch` as argument by every name that it could take.
HOSTILE: list[Any] = [
    "os.system",
    "os.popen",
    "os.execl",
    "subprocess.Popen",
    "subprocess.check_output",
    "builtins.eval",
    "builtins.exec",
    "builtins.open",
    "builtins.__import__",
    "shutil.rmtree",
    "shutil.copy",
    "pathlib.Path.touch",
    "urllib.request.urlretrieve",
    "webbrowser.open",
    "importlib.import_module",
    "runpy.run_path",
    "pickle.load",
    "torch.load",
    "torch.hub.load",
    "torch.utils.cpp_extension.load",
    "pandas.read_pickle",
    "joblib.load",
    "numpy.load",
    "hydra.utils.instantiate",
    "pipeline.config.cli.launch",
    "pipeline.stage.configure.main",
    # under an allowed package, and yet no class for the place
    "torch.nn.modules.module.torch.load",
    "torch.nn.modules.module.warnings",
    "torch.optim.lr_scheduler.warnings.os.system",
    "torch.nn.parallel.data_parallel.Any",
    "torch.nn.modules.container.OrderedDict",
    "torch.nn.functional.relu",
    "torch.nn.Parameter",
    "torch.nn.utils.parametrize.type_before_parametrizations",
    "torch.optim.swa_utils.AveragedModel.update_parameters",
    "albumentations.core.serialization.load",
    "albumentations.core.serialization.from_dict",
    "albumentations.check_version.check_for_updates",
    "pipeline.model.options.inspect.importlib.import_module",
    "pipeline.model.options.inspect",
    "pipeline.model.cnn.make_layer",
    "pipeline.training.fit.fit",
    "pipeline.training.losses.torch.load",
    # no name at all
    None,
    3,
    True,
    "",
    [],
    ["torch.nn.Linear"],
    {"_target_": "os.system"},
    " torch.nn.Linear",
    "torch.nn.Linear ",
    "torch.nn.Linear\n",
    "torch.nn.Linear; import os",
    "torch.nn.__import__('os').system",
    "torch..nn.Linear",
    "..torch.nn.Linear",
    "torchxnn.Linear",
    "torch.nn.Ｌinear",  # full width
    "tоrch.nn.Linear",  # a Cyrillic о
    "${model._target_}",
]

PLACES = ["model", "optimizer", "scheduler", "loss", "augmentation.transforms.affine"]


class Planted:
    """A file that appears when something runs, and the imports that happen meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "ran"
        self.modules = set(sys.modules)

    def node(self, target: Any) -> dict[str, Any]:
        command = f"touch {self.file}"
        return {"_target_": target, "command": command, "args": command, "path": str(self.file), "_args_": [command], "cmd": command}

    def is_silent(self) -> bool:
        fresh = {name.split(".")[0] for name in set(sys.modules) - self.modules}
        return not self.file.exists() and not fresh & {"webbrowser", "runpy", "joblib", "pandas", "antigravity"}


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    return Planted(tmp_path)


def write(project: Copy, path: str, place: str, node: dict[str, Any]) -> str:
    """Write the node to its place in a file that holds whole keys; return where its `_target_` stands."""
    tree: dict[str, Any] = node
    for part in reversed(place.split(".")):
        tree = {part: tree}
    text = HEAD + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    project.write(path, text)
    line = next(number for number, line in enumerate(text.splitlines(), 1) if line.strip().startswith("_target_"))
    return f"{path}:{line}"


def refusal(run: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        run()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_there_are_thirty_of_them() -> None:
    assert len({json.dumps(target) for target in HOSTILE}) >= 30


def assert_refused(target: Any, place: str, project: Copy, planted: Planted) -> None:
    where = write(project, LOCAL, place, planted.node(target))
    told = refusal(project.configure)
    assert told.startswith(f"{where}: {place}._target_"), told
    assert planted.is_silent()


@pytest.mark.parametrize(("number", "target"), list(enumerate(HOSTILE)), ids=ascii)
def test_a_hostile_target_runs_nowhere_and_is_told_with_its_line(number: int, target: Any, project: Copy, planted: Planted) -> None:
    assert_refused(target, PLACES[number % len(PLACES)], project, planted)


@pytest.mark.slow
@pytest.mark.parametrize("target", HOSTILE, ids=ascii)
def test_nor_does_it_in_any_other_place(target: Any, project: Copy, planted: Planted) -> None:
    for place in PLACES:
        assert_refused(target, place, project, planted)


@pytest.mark.parametrize("target", ["os.system", "torch.load", "torch.nn.functional.relu", "torch.optim.lr_scheduler.warnings.os.system"])
@pytest.mark.parametrize("place", PLACES)
def test_a_hostile_word_on_the_command_line_is_told_with_it(target: str, place: str, project: Copy, planted: Planted) -> None:
    word = f"{place}._target_={target}"
    told = refusal(lambda: project.check_live(word, f"+{place}.command='touch {planted.file}'"))
    assert told.startswith(f"the command line ({word}): {place}._target_") or f"{place}.command is not an option" in told
    assert planted.is_silent()


@pytest.mark.parametrize("target", ["os.system", "torch.load", "builtins.eval", "${optimizer._target_}"])
@pytest.mark.parametrize("place", PLACES)
def test_a_hostile_edit_of_params_is_told_with_its_line(target: str, place: str, project: Copy, planted: Planted) -> None:
    project.type(f"{place}._target_", target)
    number = next(i for i, line in enumerate(project.read("params.yaml").splitlines(), 1) if line.strip().startswith(f"_target_: {target}"))
    assert refusal(project.configure).startswith(f"params.yaml:{number}: {place}._target_ must name a class below ")
    assert planted.is_silent()


@pytest.mark.parametrize("place", PLACES)
def test_inside_an_experiment_too(place: str, project: Copy, planted: Planted) -> None:
    lock = project.read("conf.lock")
    told = refusal(lambda: project.experiment(f"{place}._target_=os.system"))
    assert re.match(rf"params\.yaml:\d+: {re.escape(place)}\._target_ must name a class below ", told)
    assert project.read("conf.lock") == lock
    assert planted.is_silent()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("conf/optimizer/sgd.yaml", "name: sgd\n_target_: os.system\n"),  # though another is chosen
        (
            "conf/experiment/big.yaml",
            HEAD + "experiment: {name: big}\nhydra: {callbacks: {a: {_target_: os.system, command: 'touch ran'}}}\n",
        ),
        ("conf/hydra/callbacks/a.yaml", "a:\n  _target_: os.system\n"),
        ("conf/config.yaml", "x: [{y: [{_target_: os.system}]}]\n"),
        (LOCAL, HEAD + 'model: {"_tar\\u0067et_": os.system}\n'),
        (LOCAL, HEAD + "a: &a {_target_: os.system}\nmodel: *a\n"),
    ],
)
def test_wherever_in_conf_it_is_hidden(path: str, text: str, project: Copy, planted: Planted) -> None:
    project.write(path, text)
    assert re.match(rf"{path}:\d+: [\w.]*_target_ must name a class below ", refusal(project.configure))
    assert re.match(rf"{path}:\d+: [\w.]*_target_ must name a class below ", refusal(project.check_live))
    assert planted.is_silent()


def test_hydra_itself_runs_none_either(tmp_path: Path) -> None:
    project: Project = cloned(tmp_path / "project")
    ran = tmp_path / "ran"
    callback = f"{{_target_: subprocess.check_output, args: [touch, {ran}]}}"
    words = [
        [f"+hydra.callbacks.a={callback}"],
        [f"+hydra={{callbacks: {{a: {callback}}}}}"],
        ["model._target_=os.system", f"+model.command='touch {ran}'"],
    ]
    for word in words:
        assert project.live("train", *word).code == 78
    project.write("conf/experiment/big.yaml", HEAD + f"experiment: {{name: big}}\nhydra: {{callbacks: {{a: {callback}}}}}\n")
    done = project.live("train", "experiment=big")
    assert done.code == 78
    assert done.output.startswith("train failed: conf/experiment/big.yaml:3: hydra.callbacks.a._target_ must name a class below ")
    assert not ran.exists()
