"""Schedules by the share that is done: their values, a clock instead of steps, and going on from their state."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from pipeline.config.build import build
from pipeline.training.schedules import OfShare, OneCycle, Triangle, WarmupCosine
from tests.conftest import MakeConfig
from tests.samples import options

PER_STEP = ["one_cycle", "triangle", "warmup_cosine"]


def optimizer(*rates: float) -> torch.optim.SGD:
    return torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates])


def rates(schedule: LRScheduler, steps: int) -> list[float]:
    """Return the first group's rate before each step."""
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        schedule.optimizer.step()
        schedule.step()
    return [float(rate) for rate in found]


def made(name: str, config: MakeConfig, steps: int, *of: float) -> OfShare:
    schedule = build("scheduler", config(f"scheduler={name}").scheduler, LRScheduler, optimizer(*of), steps=steps)
    assert isinstance(schedule, OfShare)
    return schedule


def test_the_triangle_goes_up_and_down_in_lines() -> None:
    found = rates(Triangle(optimizer(2.0), 10, start=0.2, peak=0.4, end=0.1), 11)
    assert found == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0, 1.7, 1.4, 1.1, 0.8, 0.5, 0.2])


def test_a_peak_of_0_begins_with_the_whole_rate() -> None:
    assert rates(Triangle(optimizer(1.0), 4, start=0.3, peak=0, end=0), 5) == pytest.approx([1, 0.75, 0.5, 0.25, 0])


def test_warmup_cosine_goes_up_in_a_line_and_down_along_half_a_cosine() -> None:
    found = rates(WarmupCosine(optimizer(1.0), 100, start=0.1, peak=0.2, end=0.0), 101)
    assert found[:21] == pytest.approx(np.linspace(0.1, 1, 21).tolist())
    assert found[40:101:20] == pytest.approx([0.853553, 0.5, 0.146447, 0], abs=1e-6)  # cosines of 45°, 90°, 135° and 180°
    assert np.add(found[20:], found[:19:-1]) == pytest.approx(np.ones(81))  # the two halves of the fall are alike


def test_one_cycle_is_torch_s_with_the_numbers_of_conf(config: MakeConfig) -> None:
    theirs = OneCycleLR(optimizer(1.0), max_lr=1.0, total_steps=101, cycle_momentum=False)
    with_peak = rates(OneCycle(optimizer(1.0), 100, start=1 / 25, peak=29.3 / 100, end=4e-6), 101)  # torch's top lies one step earlier
    assert with_peak == pytest.approx(rates(theirs, 101)[:101], abs=1e-9)
    node = config("scheduler=one_cycle").scheduler
    assert (node["start"], node["peak"], node["end"]) == (1 / 25, 0.3, 4e-6)


@pytest.mark.parametrize("name", PER_STEP)
def test_every_group_keeps_its_own_rate_times_the_same_factor(name: str, config: MakeConfig) -> None:
    schedule = made(name, config, 20, 0.5, 40.0)
    for _ in range(20):
        schedule.optimizer.step()
        schedule.step()
        first, second = schedule.get_last_lr()
        assert second == pytest.approx(80 * first)
        assert [group["lr"] for group in schedule.optimizer.param_groups] == [first, second]


@pytest.mark.parametrize("name", PER_STEP)
def test_the_rate_reaches_the_optimizer_s_and_stays_at_the_end_s_after_the_last_step(name: str, config: MakeConfig) -> None:
    schedule = made(name, config, 100, 3.0)
    found = rates(schedule, 110)
    assert max(found) == 3.0
    assert found[100:] == pytest.approx([3.0 * schedule.end] * 10)


@pytest.mark.parametrize("name", PER_STEP)
def test_a_clock_drives_the_rate_instead_of_the_steps(name: str, config: MakeConfig) -> None:
    by_steps = rates(made(name, config, 10, 1.0), 11)
    schedule, done = made(name, config, 1_000_000, 1.0), iter([0.5, 0.9, 1.0, 1.7, 2.0])
    schedule.clock = lambda: next(done)
    assert rates(schedule, 5)[1:] == pytest.approx([by_steps[5], by_steps[9], by_steps[10], by_steps[10]])


@pytest.mark.parametrize("clock", [None, lambda: 0.3])
@pytest.mark.parametrize("name", PER_STEP)
def test_a_schedule_goes_on_from_its_state_bit_for_bit_and_a_clock_is_no_part_of_it(name: str, clock: Any, config: MakeConfig) -> None:
    whole = rates(made(name, config, 17, 0.3), 17)
    first = made(name, config, 17, 0.3)
    rates(first, 7)
    first.clock = clock
    stream = io.BytesIO()
    torch.save(first.state_dict(), stream)
    stream.seek(0)
    second = made(name, config, 17, 0.3)
    second.load_state_dict(torch.load(stream, weights_only=True))
    assert second.clock is None
    assert rates(second, 10) == whole[7:]


def test_conf_s_schedules_of_ours_are_stepped_after_each_step_and_torch_s_after_each_epoch(config: MakeConfig) -> None:
    per_step = []
    for name in options("scheduler"):
        schedule = build("scheduler", config(f"scheduler={name}").scheduler, LRScheduler, optimizer(1.0), steps=10)
        if getattr(schedule, "per_step", False):
            per_step.append(name)
    assert per_step == PER_STEP
