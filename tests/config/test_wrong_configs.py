"""Every kind of wrong config, in every place where it can be written, with the whole message: place, key, what came, what was expected."""

import pytest

from pipeline.config.errors import ConfigError
from tests.config.copies import LOCAL, Copy
from tests.project import Project, cloned

HEAD = "# @package _global_\n"
ADAMW, TRAINING, DIGITS, CNN = (
    "conf/optimizer/adamw.yaml",
    "conf/training/default.yaml",
    "conf/dataset/digits.yaml",
    "conf/model/cnn.yaml",
)
EVALUATE, TRACKING, SHIFT = "conf/evaluate/default.yaml", "conf/tracking/mlflow.yaml", "conf/augmentation/shift.yaml"
STRETCH, COSINE, LOSS = "conf/resize/stretch.yaml", "conf/scheduler/cosine.yaml", "conf/loss/cross_entropy.yaml"
MACHINE = "conf/machine/default.yaml"
ALLOWED = (
    "must name a class below pipeline.model., pipeline.training.losses., pipeline.training.optimizers., pipeline.training.schedules., "
    "torch.nn., torch.optim., albumentations."
)

# file, the beginning of a line, what takes the line's place, the message after file and line.
IN_CONF = [
    (ADAMW, "lr:", "lr: -1", "optimizer.lr must be a number above 0, but it is -1"),
    (ADAMW, "lr:", "lr: .nan", "optimizer.lr must be a number above 0, but it is NaN"),
    (ADAMW, "lr:", "lr: .inf", "optimizer.lr must be a number above 0, but it is Infinity"),
    (ADAMW, "lr:", "lr: fast", 'optimizer.lr must be a number, but it is "fast"'),
    (ADAMW, "lr:", "lrr: 0.003", "optimizer.lrr is not an option of torch.optim.AdamW; did you mean lr?"),
    (ADAMW, "lr:", "betas: 0.9", "optimizer.betas must be a list of 2 numbers, but it is 0.9"),
    (ADAMW, "lr:", "params: []", "optimizer.params is decided by what is trained; leave it out"),
    (ADAMW, "weight_decay:", "weight_decay: -0.1", "optimizer.weight_decay must be 0 or more, but it is -0.1"),
    (ADAMW, "_target_:", "_target_: torch.optim.AdamWW", "optimizer._target_: there is no class torch.optim.AdamWW: "),
    (ADAMW, "_target_:", "_target_: torch.nn.Linear", "optimizer._target_: torch.nn.Linear is not a torch.optim.optimizer.Optimizer"),
    (ADAMW, "_target_:", "_target_: os.system", f"optimizer._target_ {ALLOWED}; got 'os.system'. Nothing was imported"),
    (TRAINING, "epochs:", "epochs: 0", "training.epochs must be 1 or more, but it is 0"),
    (TRAINING, "epochs:", "epochs: 2.5", "training.epochs must be a whole number, but it is 2.5"),
    (TRAINING, "epochs:", "epochs: yes", "training.epochs must be a whole number, but it is true"),
    (TRAINING, "epochs:", "epochs:", "training.epochs must be a whole number, but it is null"),
    (TRAINING, "epochs:", "epoch: 30", "training.epoch is not a key of conf/; did you mean training.epochs?"),
    (TRAINING, "batch_size:", "batch_size: 0", "training.batch_size must be 1 or more, but it is 0"),
    (TRAINING, "monitor:", "monitor: train/loss", "training.monitor must be one of validation/loss, validation/accuracy, but it is"),
    (TRAINING, "patience:", "patience: 0", "training.patience must be 1 or more, but it is 0"),
    (TRAINING, "divergence:", "divergence: 1", "training.divergence must be a number above 1, but it is 1"),
    (TRAINING, "threads:", "threads: 0", "training.threads must be 1 to 1024, but it is 0"),
    (MACHINE, "workers:", "workers: -1", "machine.workers must be 0 to 1024, but it is -1"),
    (TRAINING, "precision:", "precision: fp16", 'training.precision must be one of 32-true, bf16-mixed, 16-mixed, but it is "fp16"'),
    (TRAINING, "budget:", "budget: 30", "training.budget must be a time such as 90s, 30m or 2h, but it is 30"),
    (STRETCH, "size:", "size: 3", "resize.size must be 4 to 4096 pixels, but it is 3"),
    (STRETCH, "size:", "size: [32, 32]", "resize.size must be a whole number, but it is [32, 32]"),
    (
        STRETCH,
        "size:",
        "size: 4",
        "resize.size must be at least 8 for this network, but it is 4: layers.pool3: the 1x1 maps before it are smaller than its "
        "2x2 window; raise resize.size or leave out a pooling",
    ),
    (STRETCH, "method:", "method: squeeze", 'resize.method must be one of stretch, letterbox, crop, but it is "squeeze"'),
    (STRETCH, "max_refused:", "max_refused: 1", "resize.max_refused must be a number from 0 to below 1, but it is 1"),
    (DIGITS, "reader:", "reader: digit", "dataset.reader must be one of digits, idx, cifar, cifar_binary, folder, csv, parquet, but it"),
    (DIGITS, "channels:", "channels: 2", "dataset.channels must be one of 1, 3, but it is 2"),
    (DIGITS, "classes:", "classes: [a, b, a]", "dataset.classes names a twice"),
    (DIGITS, "classes:", "classes: [no, yes]", "dataset.classes must name classes, but false is not text to YAML: write the name"),
    (
        DIGITS,
        "splits:",
        "splits: {train: a, test: a}",
        "dataset.splits.test is a, as dataset.splits.train is: the same images can't be both",
    ),
    (DIGITS, "splits:", "splits: {train: a, tests: b}", "dataset.splits.tests must be one of train, validation, test"),
    (DIGITS, "splits:", "splits: {train: a, validation: b}", "dataset.splits names no test, so there are no images to test on"),
    (
        DIGITS,
        "  validation:",
        "  validation: 0.8",
        "dataset.split.validation and dataset.split.test must stay below 1 together, but they are 0.8 + 0.2",
    ),
    (DIGITS, "  mirrors:", "  mirrors: []", "dataset.sources.mirrors is empty, so dataset.sources.files can't be fetched: give one base"),
    (DIGITS, "  mirrors:", "  mirrors: [data]", "dataset.sources.mirrors must be base URLs that begin with https, http, s3, gs, file or"),
    (DIGITS, "    digits:", "    digits: {name: x}", "dataset.sources.files.digits.sha256 is missing"),
    (DIGITS, "    digits:", "    digits: {name: ../x, sha256: y}", "dataset.sources.files.digits.name must be a file name that stays in"),
    (
        CNN,
        "  conv1:",
        "  conv1: {kind: cnov, filters: 1, kernel: 3}",
        "model: pipeline.model.cnn.CNN refused its options: layers.conv1.kind is 'cnov', expected one of conv, relu, elu, gelu, "
        "silu, tanh, scaled_tanh, sigmoid, max_pool, average_pool, sum_pool, l2_pool, global_average_pool, global_max_pool, leaky_relu, "
        "batch_norm, group_norm, local_response_norm, dropout, dropout2d, linear, against_zero, residual, parallel; did you mean conv?",
    ),
    (
        CNN,
        "  pool1:",
        "  pool1: {kind: max_pool, kernel: 0}",
        "model: pipeline.model.cnn.CNN refused its options: layers.pool1.kernel must be a whole number of at least 1, but it is 0",
    ),
    (CNN, "  pool1:", "  pool1: max_pool", 'model.layers.pool1 must be a mapping or null, but it is "max_pool"'),
    (CNN, "_target_:", "_target_: pipeline.model.cnn.CNNN", "model._target_: there is no class pipeline.model.cnn.CNNN"),
    (CNN, "_target_:", "num_classes: 3\n_target_: pipeline.model.cnn.CNN", "model.num_classes is decided by what is trained; leave it out"),
    (COSINE, "T_max:", "T_max: ten", 'scheduler.T_max must be a whole number, but it is "ten"'),
    (
        COSINE,
        "_target_:",
        "_target_: torch.optim.lr_scheduler.ReduceLROnPlateau",
        "scheduler._target_: torch.optim.lr_scheduler.ReduceLROnPlateau steps by what was measured, "
        "after the epoch's checkpoint is written: "
        "a training that was killed would go on with other rates. Choose scheduler=cosine or step; training.patience stops on a plateau",
    ),
    (COSINE, "T_max:", "steps: 100", "scheduler.steps is decided by what is trained; leave it out"),
    (COSINE, "T_max:", "gamma: 0.1", "scheduler.gamma is not an option of torch.optim.lr_scheduler.CosineAnnealingLR"),
    (COSINE, "T_max:", "T_max: ${training.epoch}", "an interpolation refers to nothing: Interpolation key 'training.epoch' not found"),
    (COSINE, "T_max:", "T_max: ${training.epochs", "scheduler.T_max is not an interpolation that can be read: "),
    (LOSS, "label_smoothing:", "label_smoothing: 1.5", "loss.label_smoothing must be 0 to 1, but it is 1.5"),
    (
        SHIFT,
        "    rotate:",
        "    rotate: [left, right]",
        "augmentation.transforms.affine.rotate must be a list of 2 numbers or a number, but",
    ),
    (
        SHIFT,
        "    rotate:",
        "    rotat: 3",
        "augmentation.transforms.affine.rotat is not an option of albumentations.Affine; did you mean rotate?",
    ),
    (SHIFT, "    p:", "    p: 90", "augmentation.transforms.affine.p must be 0 to 1, but it is 90"),
    (SHIFT, "  affine:", "  turn: 90\n  affine:", "augmentation.transforms.turn must be a mapping such as {_target_: …}, but it is 90"),
    (EVALUATE, "confidence:", "confidence: 95", "evaluate.confidence must be a number between 0 and 1, but it is 95"),
    (EVALUATE, "hardest:", "hardest: -1", "evaluate.hardest must be 0 or more, but it is -1"),
    (
        TRACKING,
        "uri:",
        "uri: mlruns",
        'tracking.uri must be a database (sqlite:///…, postgresql://…) or a server (http://…), but it is "mlruns"',
    ),
    (
        TRACKING,
        "model:",
        "model: a/b",
        "tracking.model must be a name of at most 256 characters, without / and : and control characters, but",
    ),
    (TRACKING, "model:", r'model: "a\0b"', "tracking.model must be a name of at most 256 characters, without / and : and control"),
    (
        TRACKING,
        "experiment:",
        r'experiment: "a\0b"',
        "tracking.experiment must be a name of at most 500 characters, none of them a control",
    ),
    (TRACKING, "experiment:", f"experiment: {'x' * 501}", "tracking.experiment must be a name of at most 500 characters, none of them"),
    # the files themselves
    (ADAMW, "name:", "name: adam", 'optimizer.name must be adamw, the file\'s own name, but it is "adam"'),
    (ADAMW, "lr:", "lr: 1\nlr: 2 # here", "optimizer.lr stands there twice; keep one of them"),
    (ADAMW, "lr:", "lr: [1", "not readable YAML: while parsing a flow sequence, did not find expected ',' or ']'"),
    (
        ADAMW,
        "lr:",
        "\tlr: 1",
        "not readable YAML: while scanning a plain scalar, found a tab character that violates indentation; it has",
    ),
    (
        ADAMW,
        "lr:",
        "lr: !!python/name:os.system",
        "optimizer.lr has the tag tag:yaml.org,2002:python/name:os.system, and only plain values",
    ),
    (
        ADAMW,
        "lr:",
        "lr: ${oc.env:RATE}",
        "optimizer.lr reads the environment, and what it reads would end up in params.yaml, git and MLflow;",
    ),
    (ADAMW, "lr:", "lr: &a [*a]", "aliases or nesting that unfold to more than a config holds; write the values out"),
    (ADAMW, "lr:", "<<<<<<< ours", "conflict markers of a merge. Keep what you want of both sides, take the markers out, type `git add"),
    ("conf/config.yaml", "  - model:", "  - model: vgg99", "there is no conf/model/vgg99.yaml; did you mean vgg19? there are "),
    ("conf/config.yaml", "  - model:", "  - modle: cnn", "modle is not a group of conf/; did you mean model?"),
    ("conf/config.yaml", "seed:", "sede: 0", "sede is not a key of conf/; did you mean seed?"),
    ("conf/config.yaml", "seed:", "seed: ???", "seed is missing"),
]

# override, the message after the word itself.
TYPED = [
    ("optimizer.lr=-1", "optimizer.lr must be a number above 0, but it is -1"),
    ("optimizer.lr=fast", 'optimizer.lr must be a number, but it is "fast"'),
    ("optimizer.lrr=1", "optimizer.lrr is not a key of conf/; did you mean optimizer.lr?"),
    ("++optimizer.lrr=1", "optimizer.lrr is not an option of torch.optim.AdamW; did you mean lr?"),
    (
        "optimizer.amsgrad=true",
        "optimizer.amsgrad is not a key of conf/; if it is an option of torch.optim.AdamW, add it: +optimizer.amsgrad=…",
    ),
    ("+optimizer.lr=1", "optimizer.lr is there already; leave out the +"),
    ("optimizer={a: 1}", "optimizer.a is not a key of conf/; if it is an option of torch.optim.AdamW, add it: +optimizer.a=…"),
    ("~optimizer.lrr", "optimizer.lrr is not a key of conf/; did you mean optimizer.lr?"),
    ("~seed", "seed is missing"),
    ("model=vgg99", "there is no conf/model/vgg99.yaml; did you mean vgg19? there are "),
    ("model=cn", "there is no conf/model/cn.yaml; did you mean cnn? there are cnn, cnn5, zfnet, "),
    ("model=lnet", "there is no conf/model/lnet.yaml; did you mean lenet? there are lenet, lenet5, "),
    ("dataset=mnst", "there is no conf/dataset/mnst.yaml; did you mean mnist? there are cats_vs_dogs, cifar10, "),
    ("scheduler=cosin", "there is no conf/scheduler/cosin.yaml; did you mean cosine? there are constant, cosine, one_cycle, step, "),
    ("modle=lenet", "modle is not a key of conf/; did you mean model?"),
    ("model=null", "model must be one of "),
    ("optimizer=[1]", "optimizer must be one of adam, adamw, adamw_photos, muon, sgd"),
    ("training.epochs=[1", "neither group=name nor key=value: no viable alternative at input '[1'"),
    ("training.epochs", "neither group=name nor key=value: Error parsing override 'training.epochs' missing EQUAL at '<EOF>'"),
    ("augmentation.transforms=[]", "Cannot merge DictConfig with ListConfig"),
    ("seed=${no.where}", "an interpolation refers to nothing: Interpolation key 'no.where' not found"),
    ("training.epochs=null", "training.epochs must be a whole number, but it is null"),
    (
        "resize.size=4",
        "resize.size must be at least 8 for this network, but it is 4: layers.pool3: the 1x1 maps before it are smaller than its 2x2",
    ),
    ("+hydra.callbacks.a._target_=os.system", "Hydra would run what this names; no callback is allowed"),
]

# key, value typed into params.yaml, message after file and line.
BY_HAND = [
    ("optimizer.lr", 0, "optimizer.lr must be a number above 0, but it is 0"),
    ("optimizer.lrr", 0, "optimizer.lrr is not an option of torch.optim.AdamW; did you mean lr?"),
    ("training.epochs", "many", 'training.epochs must be a whole number, but it is "many"'),
    ("training.epoch", 3, "training.epoch is not a key of conf/; did you mean training.epochs?"),
    ("model.name", "vgg99", "there is no conf/model/vgg99.yaml; did you mean vgg19? there are "),
    ("model._target_", "torch.load", f"model._target_ {ALLOWED}; got 'torch.load'. Nothing was imported"),
    ("dataset.split.test", 1.5, "dataset.split.test must be a number from 0 to below 1, but it is 1.5"),
    ("seed", -1, "seed must be 0 to 4294967295, but it is -1"),
]


# file, its whole text, the line that is told, the message after it.
WHOLE = [
    (ADAMW, "_target_: torch.optim.AdamW\nlr: 1\n", 1, "the file must hold name: adamw, its own name, by which a choice is remembered"),
    (ADAMW, "", 1, "the file must hold a mapping of keys to values, but it holds nothing"),
    (ADAMW, "- lr\n", 1, "the file must hold a mapping of keys to values, but it holds a list"),
    (ADAMW, "AdamW\n", 1, 'the file must hold a mapping of keys to values, but it holds "AdamW"'),
    (
        "conf/experiment/big.yaml",
        "experiment: {name: big}\n",
        1,
        "the file must begin with the line `# @package _global_`, or its keys end up",
    ),
    ("conf/experiment/big.yaml", HEAD + "seed: 1\n", 1, "the file must hold experiment: {name: big}, its own name, by which a choice"),
    ("conf/experiment/big.yaml", HEAD + "experiment: {name: bug}\n", 2, "experiment.name must be big, the file's own name, but it is"),
    ("conf/debug/big.yaml", "debug: {name: big}\n", 1, "the file must begin with the line `# @package _global_`, or its keys end up"),
    ("conf/debug/big.yaml", HEAD + "debug: {name: bug}\n", 2, "debug.name must be big, the file's own name, but it is"),
    (
        "conf/experiment/big.yaml",
        HEAD + "experiment:\n  name: big\nhydra:\n  callbacks:\n    a:\n      _target_: os.system\n",
        7,
        "hydra.callbacks.a._target_ must",
    ),
    (LOCAL, "seed: 1\n", 1, "the file must begin with the line `# @package _global_`, or its keys end up under local"),
    (LOCAL, HEAD, 1, "the file must hold a mapping of keys to values, but it holds nothing; to override nothing, delete the file"),
    (LOCAL, HEAD + "seed: 1\ntrainig: {epochs: 3}\n", 3, "trainig.epochs is not a key of conf/; did you mean training.epochs?"),
    (LOCAL, HEAD + "\noptimizer:\n  # slower\n  lr: 0\n", 5, "optimizer.lr must be a number above 0, but it is 0"),
    (LOCAL, HEAD + "optimizer: 3\n", 2, "optimizer must be a mapping, but it is 3"),
    (
        LOCAL,
        HEAD + "defaults:\n  - override /model: vgg99\n",
        3,
        "there is no conf/model/vgg99.yaml; did you mean vgg19? there are ",
    ),
    (LOCAL, HEAD + "defaults:\n  - override /modle: cnn\n", 3, "modle is not a group of conf/; did you mean model?"),
    (LOCAL, HEAD + "defaults:\n  - model: cnn\n", 3, "local/model is not a group of conf/; write `override /model: cnn`"),
    (LOCAL, HEAD + "seed: ${training.epochs}${seed}\n", 2, "an interpolation refers to nothing: Recursive interpolation detected"),
    (
        LOCAL,
        HEAD + "scheduler:\n  _target_: torch.optim.lr_scheduler.StepLR\n  T_max: null\n",
        4,
        "scheduler.T_max is not an option of torch.optim.lr_scheduler.StepLR",
    ),
    (
        LOCAL,
        HEAD + "augmentation:\n  transforms:\n    crop: {_target_: albumentations.RandomCrop, height: 8, width: 8}\n",
        4,
        "augmentation.transforms.crop: albumentations.RandomCrop leaves images in a shape that the network is not made for: ",
    ),
    (
        LOCAL,
        HEAD + "loss:\n  reduction: none\n",
        2,
        "loss: torch.nn.CrossEntropyLoss can't compare the scores of images with their classes: it",
    ),
]


def plant(project: Copy, path: str, start: str, text: str) -> str:
    """Put a text into the place of the one line that begins so; return where it stands, or its line that says `# here`."""
    lines = project.read(path).splitlines()
    found = [number for number, line in enumerate(lines) if line.startswith(start)]
    assert len(found) == 1, f"{path} has {len(found)} lines that begin with {start!r}"
    lines[found[0]] = text
    project.write(path, "\n".join(lines) + "\n")
    return f"{path}:{found[0] + 1 + text.partition('# here')[0].count(chr(10)) * ('# here' in text)}"


def refusal(project: Copy) -> str:
    """Return the configure stage's refusal, which is one line and writes nothing."""
    before = project.files
    with pytest.raises(ConfigError) as caught:
        project.configure()
    assert project.files == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def line_of(project: Copy, path: str, text: str) -> int:
    lines = project.read(path).splitlines()
    assert [line.strip() for line in lines].count(text) == 1
    return [line.strip() for line in lines].index(text) + 1


def test_there_are_fifty_of_them() -> None:
    assert len({(path, text) for path, _, text, _ in IN_CONF}) + len(WHOLE) + len(TYPED) + len(BY_HAND) >= 50


@pytest.mark.parametrize(("path", "start", "text", "expected"), IN_CONF, ids=[f"{path}-{text}" for path, _, text, _ in IN_CONF])
def test_a_wrong_line_in_conf_is_told_with_its_file_and_number(path: str, start: str, text: str, expected: str, project: Copy) -> None:
    place = plant(project, path, start, text)
    assert refusal(project).startswith(f"{place}: {expected}")


@pytest.mark.parametrize(("path", "text", "line", "expected"), WHOLE, ids=[f"{path}-{i}" for i, (path, *_) in enumerate(WHOLE)])
def test_a_wrong_file_in_conf_is_told_with_its_name_and_line(path: str, text: str, line: int, expected: str, project: Copy) -> None:
    project.write(path, text)
    assert refusal(project).startswith(f"{path}:{line}: {expected}")


@pytest.mark.parametrize(("word", "expected"), TYPED, ids=[word for word, _ in TYPED])
def test_a_wrong_word_on_the_command_line_is_told_with_it(word: str, expected: str, project: Copy) -> None:
    with pytest.raises(ConfigError) as caught:
        project.check_live(word)
    assert str(caught.value).startswith(f"the command line ({word}): {expected}")
    assert not (project.root / "runs" / "test").exists()


def test_of_several_words_the_last_that_counts_is_told(project: Copy) -> None:
    with pytest.raises(ConfigError, match=r"^the command line \(training\.epochs=0\): training\.epochs must be 1 or more, but it is 0$"):
        project.check_live("seed=1", "training.epochs=3", "training.epochs=0")


def test_a_value_of_conf_under_a_choice_that_was_typed_stands_in_the_choice_s_file(project: Copy) -> None:
    plant(project, "conf/optimizer/sgd.yaml", "momentum:", "momentum: 2")
    with pytest.raises(
        ConfigError, match=r"^conf/optimizer/sgd\.yaml:\d+: optimizer\.momentum must be a number from 0 to below 1, but it is 2$"
    ):
        project.check_live("optimizer=sgd")


@pytest.mark.parametrize(("key", "value", "expected"), BY_HAND, ids=[key for key, _, _ in BY_HAND])
def test_a_wrong_edit_of_params_is_told_with_its_line(key: str, value: object, expected: str, project: Copy) -> None:
    project.type(key, value)
    line = line_of(project, "params.yaml", f"{key.rpartition('.')[2]}: {value}")
    assert refusal(project).startswith(f"params.yaml:{line}: {expected}")


def test_a_wrong_value_of_an_experiment_stands_on_its_command_line_and_nowhere_else(project: Copy) -> None:
    before = project.read("params.yaml")
    with pytest.raises(ConfigError) as caught:
        project.experiment("optimizer.lr=-1", "training.epochs=7")
    assert str(caught.value) == "the command line (optimizer.lr=-1): optimizer.lr must be a number above 0, but it is -1"
    assert project.read("params.yaml") == before


def test_what_an_experiment_takes_from_conf_stands_in_conf(project: Copy) -> None:
    place = plant(project, ADAMW, "lr:", "lr: -1")
    with pytest.raises(ConfigError, match=rf"^{place}: optimizer\.lr must be a number above 0"):
        project.experiment("training.epochs=7")


@pytest.mark.parametrize(("path", "line"), [(LOCAL, 3), ("conf/debug/big.yaml", 6), ("conf/experiment/big.yaml", 5), (ADAMW, 0)])
def test_the_file_that_counts_is_told(path: str, line: int, project: Copy) -> None:
    # each overrides those after it
    texts = {
        LOCAL: HEAD + "optimizer:\n  lr: -1\n",
        "conf/debug/big.yaml": HEAD + "debug: {name: big}\n\n\noptimizer:\n  lr: -1\n",
        "conf/experiment/big.yaml": HEAD + "experiment: {name: big}\n\noptimizer:\n  lr: -1\n",
    }
    place = plant(project, ADAMW, "lr:", "lr: -1")
    for group in ("experiment", "debug"):
        plant(project, "conf/config.yaml", f"  - {group}:", f"  - {group}: big")
        project.write(f"conf/{group}/big.yaml", HEAD + f"{group}: {{name: big}}\n")
    for name in list(texts)[list(texts).index(path) :] if path in texts else []:
        project.write(name, texts[name])
    assert refusal(project).startswith(f"{path}:{line}: optimizer.lr must be" if line else f"{place}: optimizer.lr must be")


def test_a_choice_of_an_option_that_is_built_on_another_is_followed_there(project: Copy) -> None:
    project.write("conf/optimizer/slow.yaml", "defaults:\n  - adamw\nname: slow\n")
    project.default("optimizer", "slow")
    place = plant(project, ADAMW, "lr:", "lr: -1")
    assert refusal(project).startswith(f"{place}: optimizer.lr must be a number above 0")


def test_a_lifted_value_is_told_where_it_was_lifted_to_later(project: Copy) -> None:
    project.type("training.epochs", 5)
    project.configure()
    project.edit(LOCAL, "epochs: 5", "epochs: 0")
    assert refusal(project) == f"{LOCAL}:5: training.epochs must be 1 or more, but it is 0"


def test_a_file_that_is_no_text_is_told(project: Copy) -> None:
    (project.root / ADAMW).write_bytes(b"name: adamw\nlr: \xff\n")
    assert refusal(project) == f"{ADAMW}: not readable YAML: it is not UTF-8 text (invalid start byte at byte 16)"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return cloned(tmp_path_factory.mktemp("wrong") / "project")


@pytest.mark.parametrize("words", [["optimizer.lr=-1"], ["model=vgg99"], ["seed=1", "optimizer.lrr=3"]])
def test_a_live_run_ends_at_once_with_one_line_and_leaves_nothing(words: list[str], clone: Project) -> None:
    ran = clone.live("train", *words)
    assert ran.code == 78
    assert ran.output.startswith(f"train failed: the command line ({words[-1]}): ")
    assert ran.output.count("\n") == 1
    assert not (clone.root / "runs").exists() or not list((clone.root / "runs").iterdir())


@pytest.mark.parametrize(("path", "old", "new"), [(ADAMW, "lr: 0.003", "lr: -1"), ("params.yaml", "lr: 0.003", "lr: -1")])
def test_the_configure_stage_ends_with_one_line(path: str, old: str, new: str, clone: Project) -> None:
    before = clone.read(path)
    clone.edit(path, old, new)
    ran = clone.run("python", "-m", "pipeline.stage.configure")
    clone.write(path, before)
    assert ran.code == 78
    line = before[: before.index(old)].count("\n") + 1
    assert ran.output == f"configure failed: {path}:{line}: optimizer.lr must be a number above 0, but it is -1\n"
