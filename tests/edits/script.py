"""Random scripts of edits from a seed, the shortest part of one that still fails, and its words."""

import random
from collections.abc import Callable, Sequence

from tests.edits.commands import Apply, Branch, Experiment, RefusedExperiment, Repro, Tried
from tests.edits.conf_edits import Comment, ConfChoice, ConfOrder, ConfValue
from tests.edits.edits import Edit
from tests.edits.override_edits import Erased, ErasedFile, Overridden
from tests.edits.run import Fault, Run
from tests.edits.typed_edits import TypedAbsence, TypedChoice, TypedEntry, TypedOrder, TypedValue

SHORTEST, LONGEST = 3, 8  # edits; commands in between are not counted
REPRO = 0.4  # share of the edits after which somebody types `dvc repro`

RATES, DECAYS, BATCHES = (0.001, 0.002, 0.004, 0.005), (0.02, 0.05, 0.1), (8, 16, 24)
SHARES = (0.1, 0.4, 0.6)
CONF = (  # file, key, values
    ("conf/optimizer/adamw.yaml", "lr", RATES),
    ("conf/optimizer/adamw.yaml", "weight_decay", DECAYS),
    ("conf/optimizer/sgd.yaml", "lr", RATES),
    ("conf/optimizer/sgd.yaml", "momentum", (0.5, 0.8)),
    ("conf/training/default.yaml", "batch_size", BATCHES),
    ("conf/training/default.yaml", "epochs", (2, 3)),
    ("conf/loss/cross_entropy.yaml", "label_smoothing", (0.05, 0.1)),
    ("conf/config.yaml", "seed", (1, 2)),
    ("conf/model/cnn.yaml", "layers.dropout.rate", SHARES),
    ("conf/model/cnn.yaml", "layers.conv1.filters", (8, 12)),
    ("conf/model/lenet.yaml", "pooling", ("average", "trainable")),
    ("conf/augmentation/flip.yaml", "transforms.shift.p", SHARES),
    ("conf/evaluate/default.yaml", "confidence", (0.9, 0.99)),
)
VALUES = (
    ("optimizer.lr", RATES),
    ("optimizer.weight_decay", DECAYS),
    ("optimizer.momentum", (0.5, 0.8)),
    ("training.batch_size", BATCHES),
    ("training.epochs", (2, 3)),
    ("scheduler.T_max", (4, 5)),
    ("loss.label_smoothing", (0.05, 0.1)),
    ("seed", (1, 2)),
    ("model.layers.dropout.rate", SHARES),
    ("model.layers.conv1.filters", (8, 12)),
    ("model.pooling", ("average", "trainable")),
    ("augmentation.transforms.shift.p", SHARES),
    ("evaluate.confidence", (0.9, 0.99)),
)
CHOICES = {
    "optimizer": ("adamw", "sgd"),
    "model": ("cnn", "lenet"),
    "augmentation": ("flip", "erase", "none"),
    "scheduler": ("cosine", "constant"),
}
LAYERS = ("conv1", "norm1", "relu1", "pool1", "conv2", "norm2", "relu2", "pool2", "conv3", "norm3", "relu3", "pool3", "dropout")
TRANSFORMS = ("flip", "shift", "erase")
ABSENCES = ("optimizer.weight_decay", "model.layers.relu2", "model.layers.norm3", "augmentation.transforms.flip")
WRONG = ("optimizer.lr=-1", "optimzer.lr=0.1", "model=nosuch", "training.batch_size=0", "+optimizer.foo=1", "training.epochs=many")


def conf_value(rng: random.Random) -> ConfValue:
    path, key, values = rng.choice(CONF)
    return ConfValue(path, key, rng.choice(values))


def choice(rng: random.Random) -> tuple[str, str]:
    group = rng.choice(list(CHOICES))
    return group, rng.choice(CHOICES[group])


def value(rng: random.Random) -> tuple[str, object]:
    key, values = rng.choice(VALUES)
    return key, rng.choice(values)


def conf_order(rng: random.Random) -> Edit:
    if rng.random() < 0.6:
        return ConfOrder("conf/model/cnn.yaml", "layers", *rng.sample(LAYERS, 2))
    return ConfOrder(f"conf/augmentation/{rng.choice(('flip', 'erase'))}.yaml", "transforms", *rng.sample(TRANSFORMS, 2))


def typed_order(rng: random.Random) -> Edit:
    if rng.random() < 0.6:
        return TypedOrder("model.layers", *rng.sample(LAYERS, 2))
    return TypedOrder("augmentation.transforms", *rng.sample(TRANSFORMS, 2))


def typed_entry(rng: random.Random) -> Edit:
    if rng.random() < 0.6:
        return TypedEntry("model.layers", "extra", {"kind": "relu"}, rng.choice(LAYERS))
    entry = {"_target_": "albumentations.VerticalFlip", "p": 0.5}
    return TypedEntry("augmentation.transforms", "turn", entry, rng.choice(TRANSFORMS))


def tried(rng: random.Random) -> Tried:
    kind = rng.random()
    if kind < 0.6:
        return Tried.set(*value(rng))
    if kind < 0.8:
        return Tried.choice(*choice(rng))
    return Tried.deletion(rng.choice(ABSENCES)) if kind < 0.95 else Tried.addition("model.layers.added", {"kind": "relu"})


def experiment(rng: random.Random, number: int) -> Edit:
    several = [tried(rng) for _ in range(rng.choice((1, 1, 2)))]
    return Experiment(f"e{number}", tuple({each.key: each for each in several}.values()))


def erased(rng: random.Random, run: Run) -> Edit:
    said = [(table, key) for table in ("choices", "values", "orders") for key in getattr(run.intent.local, table)]
    return Erased(*rng.choice(said)) if said and rng.random() < 0.7 else ErasedFile()


MAKERS: tuple[tuple[int, Callable[[random.Random, Run, int], Edit]], ...] = (  # how often, what
    (5, lambda rng, run, number: conf_value(rng)),
    (3, lambda rng, run, number: ConfChoice(*choice(rng))),
    (3, lambda rng, run, number: conf_order(rng)),
    (1, lambda rng, run, number: Comment(rng.choice(CONF)[0])),
    (4, lambda rng, run, number: TypedValue(*value(rng))),
    (2, lambda rng, run, number: TypedChoice(*choice(rng))),
    (3, lambda rng, run, number: typed_order(rng)),
    (1, lambda rng, run, number: typed_entry(rng)),
    (1, lambda rng, run, number: TypedAbsence(rng.choice(ABSENCES))),
    (1, lambda rng, run, number: Overridden(*value(rng))),
    (4, lambda rng, run, number: experiment(rng, number)),
    (2, lambda rng, run, number: RefusedExperiment(rng.choice(WRONG))),
    (2, lambda rng, run, number: Apply(f"e{rng.randint(1, LONGEST)}")),
    (3, lambda rng, run, number: erased(rng, run)),
    (1, lambda rng, run, number: Branch(conf_value(rng))),
)


class Failed(AssertionError):
    """A script that fails; `played` is what was played of it."""

    def __init__(self, played: Sequence[Edit], fault: Fault) -> None:
        super().__init__(f"{fault}\nafter\n{in_words(played)}")
        self.played = list(played)


def improvise(seed: int, run: Run) -> list[Edit]:
    """Play a random script, which depends on the seed alone; return it. Raises Failed."""
    rng = random.Random(seed)
    played: list[Edit] = []
    edits = rng.randint(SHORTEST, LONGEST)
    weights, makers = zip(*MAKERS, strict=True)
    while edits:
        (make,) = rng.choices(makers, weights)
        edit = make(rng, run, edits)
        repro_first = isinstance(edit, Experiment | RefusedExperiment) and run.intent.waits
        for step in [Repro()] * repro_first + [edit]:
            if step.fits(run):
                _play(step, run, played)
                edits -= step is edit
        if played and played[-1] is edit and rng.random() < REPRO:
            _play(Repro(), run, played)
    _play_finish(run, played)
    return played


def replay(script: Sequence[Edit], run: Run) -> None:
    """Play a script but for what does not fit any more. Raises Failed."""
    played: list[Edit] = []
    for edit in script:
        if edit.fits(run):
            _play(edit, run, played)
    _play_finish(run, played)


def shortened(failed: Failed, new_run: Callable[[], Run]) -> Failed:
    """Leave out one edit after the other for as long as the script still fails."""
    i = 0
    while i < len(failed.played):
        try:
            replay([*failed.played[:i], *failed.played[i + 1 :]], new_run())
            i += 1
        except Failed as shorter:
            failed, i = shorter, 0
    return failed


def in_words(script: Sequence[Edit]) -> str:
    words = [str(edit) for edit in script]
    words += ["dvc repro"] * (words[-1:] != ["dvc repro"])
    return "\n".join(f"  {number}. {line}" for number, line in enumerate(words, 1))


def _play(edit: Edit, run: Run, played: list[Edit]) -> None:
    played.append(edit)
    try:
        edit.play(run)
    except Fault as fault:
        raise Failed(played, fault) from fault


def _play_finish(run: Run, played: list[Edit]) -> None:
    try:
        run.finish()
    except Fault as fault:
        raise Failed(played, fault) from fault
