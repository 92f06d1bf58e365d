"""Some seventy edits, and exactly which stages run after each: the data of tests/test_what_runs.py and docs/what-runs.md.

Write the page anew:  python -m tests.what_runs"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from PIL import Image

from tests.project import ROOT, Project, Ran

STAGES = ("configure", "fetch", "resize", "train", "evaluate", "explain", "register")
LOOK = ("evaluate", "explain", "register")
TRAIN = ("train", *LOOK)
LEARN = ("configure", *TRAIN)
IMAGES = ("configure", "resize", *TRAIN)
NOTHING: tuple[str, ...] = ()

COMPOSITION = "conf/ is one dependency; the composition comes out equal, so nothing follows"
EQUAL = "its result comes out equal, so nothing follows"

OVERRIDES = "conf/local/overrides.yaml"
HEAD = "# @package _global_\n"


@dataclass(frozen=True)
class Case:
    edit: str  # what a person does, in words
    way: str  # how it is run
    do: Callable[[Project], Ran]  # the edit and the run
    runs: tuple[str, ...]  # exactly these stages
    note: str = ""  # why one runs needlessly, or what else holds
    holds: Callable[[Project, Ran], object] = lambda project, ran: True


def param(key: str, value: object) -> Callable[[Project, Ran], object]:
    def holds(project: Project, _: Ran) -> bool:
        assert project.param(key) == value
        return True

    return holds


def both(*checks: Callable[[Project, Ran], object]) -> Callable[[Project, Ran], object]:
    return lambda project, ran: all(check(project, ran) for check in checks)


def says(text: str) -> Callable[[Project, Ran], object]:
    def holds(_: Project, ran: Ran) -> bool:
        assert text in ran.output
        return True

    return holds


def overrides(text: str) -> Callable[[Project, Ran], object]:
    def holds(project: Project, _: Ran) -> bool:
        assert text in project.read(OVERRIDES)
        return True

    return holds


def edited(path: str, old: str, new: str, *arguments: str) -> Callable[[Project], Ran]:
    def do(project: Project) -> Ran:
        project.edit(path, old, new)
        return project.repro(*arguments)

    return do


def touched(path: str) -> Callable[[Project], Ran]:
    """Change a file's bytes and nothing of what it does."""

    def do(project: Project) -> Ran:
        project.write(path, project.read(path) + "# looked at again\n")
        return project.repro()

    return do


def exp_run(*values: str) -> Callable[[Project], Ran]:
    return lambda project: project.exp_run(*values)


def then(*steps: Callable[[Project], Ran]) -> Callable[[Project], Ran]:
    """Do all; what the last one ran counts."""

    def do(project: Project) -> Ran:
        for step in steps:
            ran = step(project)
        return ran

    return do


def refused(edit: Callable[[Project], object]) -> Callable[[Project], Ran]:
    """Run after an edit that must be refused."""

    def do(project: Project) -> Ran:
        edit(project)
        ran = project.run("dvc", "repro")
        assert ran.code != 0
        return ran

    return do


def live(*values: str) -> Callable[[Project], Ran]:
    def do(project: Project) -> Ran:
        ran = project.live("train", *values, "hydra.run.dir=runs/live")
        assert ran.code == 0, ran.output
        return ran

    return do


def live_value(key: str, value: object) -> Callable[[Project, Ran], object]:
    from pipeline.config.compose import read_yaml
    from pipeline.config.tree import get

    def holds(project: Project, _: Ran) -> bool:
        assert get(read_yaml(project.root / "runs" / "live" / "config.yaml"), key) == value
        assert (project.root / "runs" / "live" / "bundle" / "weights.safetensors").exists()
        assert "up to date" in project.ok("dvc", "status").output
        return True

    return holds


def queue(*values: str) -> Callable[[Project], Ran]:
    return lambda project: project.queue(*values)


def finished_runs(names: int) -> Callable[[Project, Ran], object]:
    """Every queued training is a finished run in the root's one store."""

    def holds(project: Project, _: Ran) -> bool:
        code = (
            "import pipeline.tracking.store; from mlflow import MlflowClient; c = MlflowClient('sqlite:///mlflow.db');"
            "print(sum(r.info.status == 'FINISHED' and 'test/accuracy' in r.data.metrics for r in c.search_runs(['1'])))"
        )
        assert project.ok("python", "-W", "ignore", "-c", code).output.split()[-1] == str(names)
        return True

    return holds


BIG = HEAD + "defaults:\n  - override /model: lenet\nexperiment: {name: big}\ntraining: {batch_size: 16}\n"


def add_experiment(project: Project) -> Ran:
    project.write("conf/experiment/big.yaml", BIG)
    return project.ok("git", "add", "conf/experiment/big.yaml")


def write_override(text: str) -> Callable[[Project], Ran]:
    def do(project: Project) -> Ran:
        project.write(OVERRIDES, HEAD + text)
        return project.repro()

    return do


def committed(project: Project) -> Ran:
    project.commit()
    return Ran(0, "")


def removed(*paths: str) -> Callable[[Project], object]:
    return lambda project: [(project.root / path).unlink() for path in paths]


def add_photo(project: Project) -> None:
    Image.new("RGB", (40, 30), (200, 30, 30)).save(project.root / "data/own/square/new.png")


def change_photo(project: Project) -> None:
    path = project.root / "data/own/square/00.png"
    path.unlink()
    Image.new("RGB", (40, 30), (30, 200, 30)).save(path)


def with_photos(change: Callable[[Project], object]) -> Callable[[Project], Ran]:
    def do(project: Project) -> Ran:
        change(project)
        return project.repro()

    return do


def images_are(count: int) -> Callable[[Project, Ran], object]:
    def holds(project: Project, _: Ran) -> bool:
        assert len(project.read("data/prepared/images.csv").splitlines()) == count + 1
        return True

    return holds


def conflict(project: Project) -> None:
    text = project.read("params.yaml")
    project.write("params.yaml", "<<<<<<< HEAD\nseed: 1\n=======\nseed: 2\n>>>>>>> other\n" + text)


def conflict_is_told(project: Project, _: Ran) -> bool:
    ran = project.run("python", "-m", "pipeline.stage.configure")
    assert ran.code == 78
    assert "params.yaml:1: conflict markers of a merge" in ran.output
    return True


def other_branch(project: Project) -> Ran:
    """Train on a branch with another learning rate, come back, repeat."""
    before = project.read("bundle/bundle.json")
    project.ok("git", "checkout", "-qb", "other")
    project.edit("conf/optimizer/adamw.yaml", "lr: 0.003", "lr: 0.01")
    assert tuple(project.repro().stages) == LEARN
    assert project.read("bundle/bundle.json") != before
    project.commit()
    project.ok("git", "checkout", "-q", "main")
    ran = project.repro()
    assert project.read("bundle/bundle.json") == before
    return ran


def single_train(project: Project) -> Ran:
    project.edit("params.yaml", "  lr: 0.003", "  lr: 0.01")
    return project.repro("--single-item", "train")


def unknown_key(project: Project) -> None:
    project.edit("params.yaml", "  lr: 0.003", "  lrr: 0.003\n  lr: 0.003")


def nothing_written(project: Project, _: Ran) -> bool:
    """A refused run leaves every file as the person left it."""
    changed = project.ok("git", "status", "--porcelain").output.split()
    assert set(changed) <= {"M", "D", "params.yaml", "conf.lock"}, changed
    assert not (project.root / OVERRIDES).exists()
    return True


def relative_change(path: str, what: str, before: str) -> Callable[[Project], Ran]:
    """Move a part of a file to before another part of it."""

    def do(project: Project) -> Ran:
        project.edit(path, what, "")
        project.edit(path, before, what + before)
        return project.repro()

    return do


def order(key: str, *names: str) -> Callable[[Project, Ran], object]:
    """The entries of a mapping in params.yaml begin with these, in this order."""

    def holds(project: Project, _: Ran) -> bool:
        assert tuple(cast(dict[str, object], project.param(key)))[: len(names)] == names
        return True

    return holds


def refused_experiment(*values: str) -> Callable[[Project], Ran]:
    """Run an experiment that must be refused or fail; the stages that it ran do not count."""

    def do(project: Project) -> Ran:
        ran = project.run("dvc", "exp", "run", *(word for value in values for word in ("-S", value)))
        assert ran.code != 0, ran.output
        return ran

    return do


def busy(experiment: Callable[[Project], Ran]) -> Callable[[Project], Ran]:
    """Run it while another dvc, this process to its eyes, holds conf.lock."""

    def do(project: Project) -> Ran:
        held = project.root / ".dvc" / "tmp" / "rwlock"
        before = held.read_text()
        reader = {"pid": os.getpid(), "cmd": "dvc repro"}
        held.write_text(json.dumps({"read": {str(project.root / "conf.lock"): [reader]}, "write": {}}))
        ran = experiment(project)
        assert "is busy" in ran.output
        held.write_text(before)
        return ran

    return do


def repro(project: Project) -> Ran:
    return project.repro()


CNN = "conf/model/cnn.yaml"
POOL, NORM = "  pool1: {kind: max_pool, kernel: 2}\n", "  norm1: {kind: batch_norm}\n"
FLIP = "  flip: {_target_: albumentations.HorizontalFlip, p: 0.5}\n"
NAMES = ", ".join(f"{name}{n}" for n in (2, 3) for name in ("conv", "norm", "relu", "pool"))
ORDER_OF_LAYERS = f"model: {{layers: {{_order_: [conv1, pool1, norm1, relu1, {NAMES}, dropout, scores]}}}}\n"
DROPOUT = "  dropout: {kind: dropout, rate: 0.25} # share of activations set to 0 in training\n"
CROP = """augmentation:
  transforms:
    crop: {_target_: albumentations.RandomResizedCrop, size: [12, 12]}
    back: {_target_: albumentations.Resize, height: 16, width: 16}
"""
ADAMW = "conf/optimizer/adamw.yaml"

CASES = (
    Case("nothing", "dvc repro", lambda project: project.repro(), NOTHING),
    Case("README.md", "dvc repro", touched("README.md"), NOTHING),
    # values in conf/
    Case(
        "a value in a conf file: the learning rate",
        "dvc repro",
        edited(ADAMW, "lr: 0.003", "lr: 0.01"),
        LEARN,
        holds=param("optimizer.lr", 0.01),
    ),
    Case("a comment in a conf file", "dvc repro", touched(ADAMW), ("configure",), COMPOSITION),
    Case(
        "an option that is not chosen: conf/optimizer/sgd.yaml",
        "dvc repro",
        edited("conf/optimizer/sgd.yaml", "lr: 0.02", "lr: 0.03"),
        ("configure",),
        COMPOSITION,
    ),
    Case(
        "a key added to a group file",
        "dvc repro",
        edited(ADAMW, "weight_decay: 0.01", "weight_decay: 0.01\namsgrad: true"),
        LEARN,
        holds=param("optimizer.amsgrad", True),
    ),
    Case(
        "a layer removed from conf/model/cnn.yaml that an override changes",
        "dvc repro",
        then(write_override("model: {layers: {dropout: {rate: 0.5}}}\n"), edited("conf/model/cnn.yaml", DROPOUT, "")),
        LEARN,
        "the override is dropped, with a line",
        says("dropped from conf/local/overrides.yaml: model.layers.dropout.rate"),
    ),
    Case(
        "a default choice changed, with an override that the new option does not know",
        "dvc repro",
        then(write_override("optimizer: {amsgrad: true, lr: 0.01}\n"), edited("conf/config.yaml", "optimizer: adamw", "optimizer: sgd")),
        LEARN,
        "what both know is kept, the other is dropped, with a line",
        both(says("dropped from conf/local/overrides.yaml: optimizer.amsgrad"), param("optimizer.lr", 0.01)),
    ),
    Case(
        "a value whose key is called size, which DVC's run cache does not look at",
        "dvc repro",
        then(write_override(CROP), edited(OVERRIDES, "[12, 12]", "[10, 10]")),
        LEARN,
        holds=param("augmentation.transforms.crop.size", [10, 10]),
    ),
    Case(
        "the default choice in conf/config.yaml: model",
        "dvc repro",
        edited("conf/config.yaml", "model: cnn", "model: lenet"),
        LEARN,
        holds=param("model.name", "lenet"),
    ),
    Case(
        "a model's width",
        "dvc repro",
        edited("conf/model/cnn.yaml", "filters: 16", "filters: 8"),
        LEARN,
        holds=param("model.layers.conv1.filters", 8),
    ),
    Case(
        "the augmentation",
        "dvc repro",
        edited("conf/config.yaml", "augmentation: shift", "augmentation: none"),
        LEARN,
        holds=param("augmentation.name", "none"),
    ),
    Case("the image size", "dvc repro", edited("conf/resize/stretch.yaml", "size: 16", "size: 20"), IMAGES, holds=param("resize.size", 20)),
    Case(
        "the split's seed",
        "dvc repro",
        edited("conf/dataset/folder.yaml", "  seed: 0", "  seed: 3"),
        IMAGES,
        holds=param("dataset.split.seed", 3),
    ),
    Case(
        "a mirror added",
        "dvc repro",
        edited("conf/dataset/folder.yaml", "mirrors: []", "mirrors: [https://example.org]"),
        ("configure", "fetch"),
        EQUAL,
    ),
    Case(
        "images to show: conf/evaluate",
        "dvc repro",
        edited("conf/evaluate/default.yaml", "hardest: 12", "hardest: 6"),
        ("configure", "evaluate", "register"),
    ),
    Case(
        "the registered model's name: conf/tracking",
        "dvc repro",
        edited("conf/tracking/mlflow.yaml", "model: ${dataset.name}", "model: shapes"),
        ("configure", "register"),
    ),
    # order
    Case(
        "two layers swapped", "dvc repro", relative_change(CNN, POOL, NORM), LEARN, holds=order("model.layers", "conv1", "pool1", "norm1")
    ),
    Case(
        "two transforms swapped",
        "dvc repro",
        then(
            lambda project: edited("conf/config.yaml", "augmentation: shift", "augmentation: flip")(project),
            relative_change("conf/augmentation/flip.yaml", FLIP, "alternating_flip"),
        ),
        LEARN,
        holds=order("augmentation.transforms", "shift", "flip"),
    ),
    Case(
        "the options of a class in another order",
        "dvc repro",
        edited(CNN, "{kind: conv, filters: 16, kernel: 3, padding: same}", "{padding: same, kernel: 3, filters: 16, kind: conv}"),
        ("configure",),
        "that order decides nothing",
    ),
    Case(
        "a layer moved in params.yaml",
        "dvc repro",
        relative_change("params.yaml", "    pool1:\n      kind: max_pool\n      kernel: 2\n", "    norm1:\n"),
        LEARN,
        "lifted as `_order_`",
        both(order("model.layers", "conv1", "pool1", "norm1"), overrides("_order_: [conv1, pool1, norm1")),
    ),
    Case(
        "a layer inserted in the middle of them there",
        "dvc repro",
        edited("params.yaml", "    norm1:\n", "    extra:\n      kind: relu\n    norm1:\n"),
        LEARN,
        "it stays in its place",
        both(order("model.layers", "conv1", "extra", "norm1"), overrides("_order_:")),
    ),
    Case(
        "layers put in order in conf/local/overrides.yaml, then an experiment without a change",
        "dvc exp run",
        then(write_override(ORDER_OF_LAYERS), exp_run()),
        ("configure",),
        "DVC composes without that order, and configure puts it right",
        order("model.layers", "conv1", "pool1", "norm1"),
    ),
    # the later edit
    Case(
        "an applied value, then the same key in conf/",
        "dvc repro",
        then(exp_run("optimizer.lr=0.01"), edited(ADAMW, "lr: 0.003", "lr: 0.02")),
        LEARN,
        "the later edit wins, with a line",
        both(says("not lifted: optimizer.lr=0.01 of the last experiment, as conf/ was edited later"), param("optimizer.lr", 0.02)),
    ),
    Case(
        "a choice in conf/config.yaml under an override that chose another before",
        "dvc repro",
        then(write_override("defaults:\n  - override /model: lenet\n"), edited("conf/config.yaml", "model: cnn", "model: mlp_small")),
        LEARN,
        "likewise",
        both(says("dropped from conf/local/overrides.yaml: model=lenet"), param("model.name", "mlp_small")),
    ),
    Case(
        "a value in conf/ that an override hides",
        "dvc repro",
        lambda project: (project.edit(ADAMW, "lr: 0.003", "lr: 0.02"), write_override("optimizer: {lr: 0.01}\n")(project))[1],
        LEARN,
        "both are new, so the override stays; lines say what it hides, and what stands above conf/",
        both(says("optimizer.lr=0.01 hides conf/'s edit of it: 0.003 -> 0.02"), says("above conf/: optimizer.lr=0.01 (conf/: 0.02)")),
    ),
    # refused experiments
    Case(
        "an experiment with a value that can't be, and one with a typo",
        "dvc repro",
        then(refused_experiment("optimizer.lr=-1"), refused_experiment("optimizer.lrr=1"), repro),
        NOTHING,
        "refused experiments leave no trace",
        param("optimizer.lr", 0.003),
    ),
    Case(
        "an experiment while another dvc is at work",
        "dvc repro",
        then(busy(refused_experiment("optimizer.lr=0.5")), repro),
        ("configure",),
        "DVC refuses it after it has written params.yaml; configure puts that back, with a line",
        both(says("not lifted: optimizer.lr=0.5 of an experiment that was refused before it began"), param("optimizer.lr", 0.003)),
    ),
    Case(
        "an experiment whose training fails",
        "dvc repro",
        then(refused_experiment("optimizer.lr=1e30"), repro),
        ("configure",),
        "its values are not lifted; the training before comes from DVC's cache",
        both(says("of the last experiment, whose training did not end"), param("optimizer.lr", 0.003)),
    ),
    Case(
        "a key taken out by -S, then a comment in conf/",
        "dvc repro",
        then(exp_run("~optimizer.weight_decay", "~model.layers.dropout"), touched(ADAMW)),
        ("configure",),
        "lifted as `_absent_`; the training is there",
        overrides("weight_decay: _absent_"),
    ),
    # values in params.yaml
    Case(
        "a value in params.yaml",
        "dvc repro",
        edited("params.yaml", "  lr: 0.003", "  lr: 1e-2"),
        LEARN,
        "lifted into conf/local/overrides.yaml",
        both(param("optimizer.lr", 0.01), overrides("lr: 0.01")),
    ),
    Case(
        "a value in params.yaml that others refer to: epochs",
        "dvc repro",
        edited("params.yaml", "  epochs: 1", "  epochs: 2"),
        LEARN,
        "scheduler.T_max follows",
        both(param("training.epochs", 2), param("scheduler.T_max", 2)),
    ),
    Case(
        "a mapping in params.yaml replaced by null: a layer",
        "dvc repro",
        edited("params.yaml", "    dropout:\n      kind: dropout\n      rate: 0.25\n", "    dropout: null\n"),
        LEARN,
        "the layer is left out",
        both(param("model.layers.dropout", None), overrides("dropout:")),
    ),
    Case(
        "null in params.yaml replaced by a value: patience",
        "dvc repro",
        edited("params.yaml", "  patience: null", "  patience: 5"),
        LEARN,
        holds=both(param("training.patience", 5), overrides("patience: 5")),
    ),
    Case(
        "a choice changed by hand in params.yaml",
        "dvc repro",
        edited("params.yaml", "  name: cnn\n  _target_", "  name: lenet\n  _target_"),
        LEARN,
        "the old model's values go with it",
        both(param("model.filters", [6, 16]), overrides("override /model: lenet")),
    ),
    Case(
        "one value in conf/, another in params.yaml",
        "dvc repro",
        lambda project: (
            project.edit(ADAMW, "weight_decay: 0.01", "weight_decay: 0.02"),
            edited("params.yaml", "  lr: 0.003", "  lr: 0.01")(project),
        )[1],
        LEARN,
        "both hold",
        both(param("optimizer.lr", 0.01), param("optimizer.weight_decay", 0.02)),
    ),
    Case(
        "an unknown key in params.yaml",
        "dvc repro",
        refused(unknown_key),
        ("configure",),
        "refused with the nearest known key; nothing is written",
        both(says("did you mean lr?"), nothing_written),
    ),
    # overrides
    Case(
        "a value in conf/local/overrides.yaml",
        "dvc repro",
        write_override("optimizer: {lr: 0.01}\n"),
        LEARN,
        holds=param("optimizer.lr", 0.01),
    ),
    Case(
        "a layer set to null there",
        "dvc repro",
        write_override("model: {layers: {dropout: null}}\n"),
        LEARN,
        "the layer is left out",
        param("model.layers.dropout", None),
    ),
    Case(
        "that file deleted again",
        "dvc repro",
        then(write_override("optimizer: {lr: 0.01}\n"), with_photos(removed(OVERRIDES))),
        ("configure", "register"),
        "the earlier training comes from DVC's cache; register has no output to cache, so it runs",
        param("optimizer.lr", 0.003),
    ),
    # dvc exp run
    Case("a value by -S", "dvc exp run", exp_run("optimizer.lr=0.01"), LEARN, holds=param("optimizer.lr", 0.01)),
    Case("the seed by -S", "dvc exp run", exp_run("seed=1"), LEARN, "the images stay as they are", param("seed", 1)),
    Case(
        "how many loader processes",
        "dvc repro",
        edited("conf/machine/default.yaml", "workers: 0", "workers: 1"),
        ("configure",),
        "they change the speed and no result",
        param("machine.workers", 1),
    ),
    Case("the data set by -S", "dvc exp run", exp_run("dataset=digits"), STAGES, holds=param("dataset.name", "digits")),
    Case(
        "-S equal to an older value of conf/",
        "dvc exp run",
        lambda project: (project.edit(ADAMW, "lr: 0.003", "lr: 0.01"), project.exp_run("optimizer.lr=0.003"))[1],
        ("configure",),
        "the result is the one that is there",
        param("optimizer.lr", 0.003),
    ),
    Case(
        "that, then another value in conf/",
        "dvc repro",
        lambda project: (
            project.edit(ADAMW, "lr: 0.003", "lr: 0.01"),
            project.exp_run("optimizer.lr=0.003"),
            edited(ADAMW, "weight_decay: 0.01", "weight_decay: 0.02")(project),
        )[2],
        LEARN,
        "-S is kept",
        both(param("optimizer.lr", 0.003), param("optimizer.weight_decay", 0.02), overrides("lr: 0.003")),
    ),
    Case(
        "an applied experiment, then another value in conf/",
        "dvc repro",
        then(exp_run("optimizer.lr=0.01"), edited(ADAMW, "weight_decay: 0.01", "weight_decay: 0.02")),
        LEARN,
        "both hold",
        both(param("optimizer.lr", 0.01), param("optimizer.weight_decay", 0.02)),
    ),
    Case(
        "an applied value that others refer to, then its conf file",
        "dvc repro",
        then(exp_run("training.epochs=2"), edited("conf/training/default.yaml", "batch_size: 32", "batch_size: 16")),
        LEARN,
        "epochs is kept and T_max follows it",
        both(param("training.epochs", 2), param("scheduler.T_max", 2), overrides("epochs: 2")),
    ),
    Case(
        "-S experiment=…",
        "dvc exp run",
        then(add_experiment, exp_run("experiment=big")),
        LEARN,
        holds=both(param("model.name", "lenet"), param("training.batch_size", 16)),
    ),
    Case(
        "that, then the experiment's file",
        "dvc repro",
        then(add_experiment, exp_run("experiment=big"), edited("conf/experiment/big.yaml", "batch_size: 16", "batch_size: 8")),
        LEARN,
        "the recipe is remembered, so its edit arrives",
        both(param("training.batch_size", 8), overrides("override /experiment: big")),
    ),
    Case(
        "-S debug=one_batch",
        "dvc exp run",
        exp_run("debug=one_batch"),
        LEARN,
        "the network of a debug run is not registered",
        both(param("training.limit_batches", 1), says("not registered, as it is of a debug run (one_batch)")),
    ),
    Case(
        "a committed override, then -S of another key",
        "dvc exp run",
        then(write_override("optimizer: {lr: 0.01}\n"), committed, exp_run("seed=1")),
        LEARN,
        "both hold",
        both(param("optimizer.lr", 0.01), param("seed", 1)),
    ),
    # live
    Case(
        "a value on Hydra's command line",
        "live",
        live("optimizer.lr=0.01"),
        NOTHING,
        "only this run, in runs/; DVC's outputs stay",
        live_value("optimizer.lr", 0.01),
    ),
    Case(
        "a committed override, then a live run of another key",
        "live",
        then(write_override("optimizer: {lr: 0.01}\n"), committed, live("seed=1")),
        NOTHING,
        "both hold",
        both(live_value("optimizer.lr", 0.01), live_value("seed", 1)),
    ),
    Case(
        "an applied experiment, then a live run",
        "live",
        then(exp_run("optimizer.lr=0.01"), live("seed=1")),
        NOTHING,
        "it goes by conf/, and says what params.yaml holds beyond it",
        says("params.yaml holds what conf/ does not: optimizer.lr=0.01"),
    ),
    # the queue, two workers
    Case(
        "2 x 2 values",
        "dvc exp run --queue",
        queue("optimizer.lr=0.01,0.001", "seed=1,2"),
        LEARN,
        "four runs in the one store",
        both(says("4 tasks succeeded"), finished_runs(5)),
    ),
    Case(
        "a photo added, not yet run",
        "dvc exp run --queue",
        lambda project: (add_photo(project), queue("seed=1")(project))[1],
        ("configure", "fetch", "resize", *TRAIN),
        "the experiment gets it",
        says("1 tasks succeeded"),
    ),
    # photos
    Case("a photo added to data/own", "dvc repro", with_photos(add_photo), ("fetch", "resize", *TRAIN), holds=images_are(61)),
    Case("a photo changed", "dvc repro", with_photos(change_photo), ("fetch", "resize", *TRAIN), holds=images_are(60)),
    Case("a photo removed", "dvc repro", with_photos(removed("data/own/circle/05.png")), ("fetch", "resize", *TRAIN), holds=images_are(59)),
    Case(
        "a photo added while dataset=digits",
        "dvc repro",
        then(exp_run("dataset=digits"), with_photos(add_photo)),
        ("fetch",),
        f"data/own is a dependency whatever the data set; {EQUAL}",
    ),
    # code
    Case("code: pipeline/config/validate.py", "dvc repro", touched("pipeline/config/validate.py"), ("configure",), EQUAL),
    Case("code: pipeline/dataset/fetch.py", "dvc repro", touched("pipeline/dataset/fetch.py"), ("fetch",), EQUAL),
    Case("code: pipeline/dataset/decode.py", "dvc repro", touched("pipeline/dataset/decode.py"), ("resize",), EQUAL),
    Case("code: pipeline/training/callbacks.py", "dvc repro", touched("pipeline/training/callbacks.py"), ("train",), EQUAL),
    Case(
        "code: pipeline/model/lenet.py, not chosen",
        "dvc repro",
        touched("pipeline/model/lenet.py"),
        TRAIN,
        "networks are found by name at run time, so their folder is one dependency",
    ),
    Case("code: pipeline/analysis/figures/overview.py", "dvc repro", touched("pipeline/analysis/figures/overview.py"), ("evaluate",)),
    Case(
        "code: pipeline/analysis/figures/feature_maps.py", "dvc repro", touched("pipeline/analysis/figures/feature_maps.py"), ("explain",)
    ),
    Case("code: pipeline/tracking/sync.py", "dvc repro", touched("pipeline/tracking/sync.py"), LOOK),
    Case("code: pipeline/tracking/uploader.py", "dvc repro", touched("pipeline/tracking/uploader.py"), NOTHING),
    Case("code: pipeline/tracking/registry.py", "dvc repro", touched("pipeline/tracking/registry.py"), ("register",)),
    Case(
        "code: pipeline/config/schema.py",
        "dvc repro",
        touched("pipeline/config/schema.py"),
        STAGES,
        "every stage reads its config through it",
    ),
    Case("the package lock file", "dvc repro", touched("requirements.lock"), STAGES, "other versions may give other results"),
    # lost and conflicting files
    Case(
        "params.yaml deleted",
        "dvc repro",
        refused(removed("params.yaml")),
        ("configure",),
        "refused with the command that brings it back",
        both(says("git checkout HEAD -- params.yaml conf.lock"), nothing_written),
    ),
    Case(
        "conf.lock deleted",
        "dvc repro",
        refused(removed("conf.lock")),
        ("configure",),
        "refused likewise",
        both(says("git checkout HEAD -- conf.lock"), nothing_written),
    ),
    Case("both deleted", "dvc repro", with_photos(removed("params.yaml", "conf.lock")), ("configure",), "composed anew from conf/"),
    Case(
        "dvc.lock deleted",
        "dvc repro",
        with_photos(removed("dvc.lock")),
        ("configure", "register"),
        "the others come from DVC's cache; these two have no output to cache",
    ),
    Case(
        "conflict markers in params.yaml",
        "dvc repro",
        refused(conflict),
        NOTHING,
        "refused by DVC itself, which reads params.yaml first; `python -m pipeline.stage.configure` says what to do",
        both(says("unable to read: 'params.yaml'"), conflict_is_told),
    ),
    Case("another branch and back", "git checkout, dvc repro", other_branch, ("register",), "the rest comes back from DVC's cache"),
    # DVC's own switches
    Case("nothing", "dvc repro -f", lambda project: project.repro("-f"), STAGES),
    Case(
        "a value in params.yaml",
        "dvc repro -s train",
        single_train,
        ("train",),
        "one stage as asked, by params.yaml as it stands",
        param("optimizer.lr", 0.01),
    ),
    Case(
        "that, then",
        "dvc repro",
        then(single_train, lambda project: project.repro()),
        ("configure", *LOOK),
        "lifted; the training is there",
        overrides("lr: 0.01"),
    ),
)


def page() -> str:
    """Return docs/what-runs.md."""
    head = [
        "# Which stages run after which edit",
        "",
        "Each row is a test (`make test-slow`, tests/test_what_runs.py) in a fresh clone with sixty photos in data/own.",
        "After each that ends well, a second `dvc repro` runs nothing; after a refusal configure looks again. Where a stage runs needlessly, the last column says why.",
        "",
        "| edit | run by | " + " | ".join(STAGES) + " | |",
        "|---|---|" + "---|" * len(STAGES) + "---|",
    ]
    rows = [
        f"| {case.edit} | {case.way} | " + " | ".join("●" if stage in case.runs else "" for stage in STAGES) + f" | {case.note} |"
        for case in CASES
    ]
    return "\n".join(head + rows) + "\n"


if __name__ == "__main__":
    (ROOT / "docs" / "what-runs.md").write_text(page())
