"""Learning rate schedules, judged by closed forms."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnbench.config import ScheduleConfig, ScheduleName
from bnbench.config.folder import conf_dir
from bnbench.config.schedule_catalog import SCHEDULES, lr_factor

STEPS = 100


def factors(**kwargs) -> list[float]:
    return [lr_factor(ScheduleConfig(**kwargs), step, STEPS) for step in range(STEPS)]


def test_constant_is_one():
    assert factors(name=ScheduleName.constant) == [1.0] * STEPS


def test_every_schedule_has_a_configuration_file():
    assert {file.stem for file in (conf_dir() / "schedule").glob("*.yaml")} == {*SCHEDULES}


@pytest.mark.parametrize("key", ["warmup_steps", "final_factor", "every_steps", "step_factor"])
@pytest.mark.parametrize("name", ScheduleName)
def test_a_key_changes_the_rate_exactly_if_the_schedule_says_that_it_uses_it(name, key):
    """A trial's identity holds the keys that its schedule uses: another one must not change its numbers."""
    usual = {"name": name, "warmup_steps": 4, "final_factor": 0.25, "every_steps": 10, "step_factor": 0.5}
    changed = usual | {key: {"warmup_steps": 9, "every_steps": 20}.get(key, 0.75)}
    assert (factors(**usual) != factors(**changed)) == (key in SCHEDULES[name].keys)


@pytest.mark.parametrize("name", [name for name, schedule in SCHEDULES.items() if "warmup_steps" in schedule.keys])
def test_warmup_rises_linearly_and_reaches_the_whole_rate_with_its_last_step(name):
    rising = factors(name=name, warmup_steps=8)[:8]
    assert rising == pytest.approx([(step + 1) / 8 for step in range(8)])
    assert rising[-1] == 1


def test_warmup_alone_stays_at_the_whole_rate():
    assert factors(name=ScheduleName.warmup, warmup_steps=10)[10:] == [1.0] * 90


@pytest.mark.parametrize("warmup", [0, 20])
@pytest.mark.parametrize("final", [0.0, 0.25, 1.0])
def test_linear_falls_evenly_towards_the_final_factor(warmup, final):
    tail = factors(name=ScheduleName.linear, warmup_steps=warmup, final_factor=final)[warmup:]
    length = STEPS - warmup
    assert tail == pytest.approx([(1 - i / length) + final * (i / length) for i in range(length)])


@pytest.mark.parametrize("warmup", [0, 20])
@pytest.mark.parametrize("final", [0.0, 0.25])
def test_cosine_falls_along_half_a_wave_towards_the_final_factor(warmup, final):
    tail = factors(name=ScheduleName.cosine, warmup_steps=warmup, final_factor=final)[warmup:]
    length = STEPS - warmup
    # cos² of the half angle: the same curve by another formula
    assert tail == pytest.approx([final + (1 - final) * math.cos(math.pi * i / length / 2) ** 2 for i in range(length)])
    assert tail[0] == 1


def test_step_multiplies_once_every_so_many_steps_after_the_warmup():
    curve = factors(name=ScheduleName.step, warmup_steps=5, every_steps=30, step_factor=0.1)
    assert curve[5:] == pytest.approx([1] * 30 + [0.1] * 30 + [0.01] * 30 + [0.001] * 5)


@given(
    name=st.sampled_from(list(ScheduleName)),
    warmup=st.integers(0, 30),
    final=st.floats(0, 1),
    every=st.integers(1, 30),
    factor=st.floats(0, 1),
    steps=st.integers(1, 40),
)
def test_a_factor_lies_between_zero_and_one(name, warmup, final, every, factor, steps):
    schedule = ScheduleConfig(name=name, warmup_steps=warmup, final_factor=final, every_steps=every, step_factor=factor)
    curve = [lr_factor(schedule, step, steps) for step in range(steps)]
    assert all(0 <= value <= 1 for value in curve)
    after = curve[warmup:]
    assert all(a >= b - 1e-12 for a, b in pairwise(after)), "and never rises again"
