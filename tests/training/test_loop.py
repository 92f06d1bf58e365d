"""The order of the loop: when its callbacks are called, what they read from it, and how they end it."""

import torch

from pipeline.config.schema import Config, Training
from pipeline.dataset.manifest import Manifest
from pipeline.training.loop import Callback, Loop
from tests.training.test_classifier import batch, classifier, train_on


class Diary(Callback):
    """Notes each hook with the epoch, the batches and the steps that are done; stops after a step where one is given."""

    def __init__(self, last: int | None = None) -> None:
        self.last = last
        self.seen: list[tuple[str, int, int, int]] = []

    def note(self, hook: str, loop: Loop) -> None:
        self.seen.append((hook, loop.epoch, loop.batches_done, loop.step))

    def on_train_start(self, loop: Loop) -> None:
        self.note("start", loop)

    def on_before_step(self, loop: Loop) -> None:
        self.note("before", loop)
        assert all(parameter.grad is not None for parameter in loop.module.network.parameters())

    def on_step_end(self, loop: Loop) -> None:
        self.note("after", loop)
        loop.should_stop = loop.step == self.last

    def on_epoch_end(self, loop: Loop) -> None:
        self.note("epoch", loop)


def training_of(cfg: Config, accumulate: int = 1) -> Training:
    cfg.training.accumulate = accumulate
    return cfg.training


def test_hooks_come_in_the_order_of_the_training_once_a_step_however_many_parts_it_has(cfg: Config, manifest: Manifest) -> None:
    for accumulate in (1, 2):
        diary = Diary()
        train_on(classifier(manifest, training_of(cfg, accumulate)), [batch(), batch(2)], 2, diary)
        first = [("before", 1, 0, 0), ("after", 1, 1, 1), ("before", 1, 1, 1), ("after", 1, 2, 2), ("epoch", 1, 2, 2)]
        second = [("before", 2, 0, 2), ("after", 2, 1, 3), ("before", 2, 1, 3), ("after", 2, 2, 4), ("epoch", 2, 2, 4)]
        assert diary.seen == [("start", 0, 0, 0), *first, *second]


def test_the_callbacks_of_a_hook_are_called_in_their_order(cfg: Config, manifest: Manifest) -> None:
    one, other = Diary(), Diary()
    one.seen = other.seen
    one.note = lambda hook, loop: other.seen.append(("one", 0, 0, 0))  # type: ignore[method-assign]
    train_on(classifier(manifest, training_of(cfg)), [batch()], 1, one, other)
    assert [name for name, *_ in other.seen] == ["one", "start", "one", "before", "one", "after", "one", "epoch"]


def test_a_callback_that_stops_within_an_epoch_leaves_it_short_and_validated(cfg: Config, manifest: Manifest) -> None:
    diary = Diary(last=4)
    loop = train_on(classifier(manifest, training_of(cfg)), [batch(), batch(), batch()], 5, diary)
    assert (loop.epoch, loop.step, loop.images) == (2, 4, 6)
    assert diary.seen[-2:] == [("after", 2, 1, 4), ("epoch", 2, 1, 4)]
    assert loop.metrics["validation/loss"] > 0


def test_a_training_that_goes_on_from_a_state_has_the_steps_and_bits_of_one_that_was_not_stopped(cfg: Config, manifest: Manifest) -> None:
    def network() -> torch.nn.Module:
        torch.manual_seed(1)
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(64, 3))

    torch.manual_seed(7)
    batches = [batch(), batch(), batch(2)]
    whole = train_on(classifier(manifest, training_of(cfg), network()), batches, 3)
    stopped = train_on(classifier(manifest, training_of(cfg), network()), batches, 1)
    again = train_on(classifier(manifest, training_of(cfg), network()), batches, 3, checkpoint=stopped.state_dict())
    assert (again.epoch, again.step) == (whole.epoch, whole.step) == (3, 9)
    assert again.metrics == whole.metrics
    assert all(torch.equal(value, again.module.state_dict()[name]) for name, value in whole.module.state_dict().items())


def test_validation_leaves_each_layer_in_its_own_mode(cfg: Config, manifest: Manifest) -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.BatchNorm1d(64).eval(), torch.nn.Dropout(), torch.nn.Linear(64, 3))
    train_on(classifier(manifest, training_of(cfg), network), [batch()], 1)
    assert [layer.training for layer in network] == [True, False, True, True]
    assert network[1].num_batches_tracked == 0
