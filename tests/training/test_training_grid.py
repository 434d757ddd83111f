"""When and on how much a trial is evaluated, judged by the promises of the grid."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnbench.config import ConfigError
from bnbench.config.evaluation_grid import coarse_steps, evaluation_examples, evaluation_steps, measured_steps
from bnbench.packing.packed_trials import PackedTrials
from bnbench.training.data_module import PackDataModule


def grid_of(trial_of, *overrides: str) -> list[int]:
    return evaluation_steps(trial_of(*overrides))


@settings(max_examples=100, deadline=None)
@given(steps=st.integers(1, 200_000))
def test_the_geometric_grid_never_skips_more_than_15_percent(trial_of, steps):
    grid = grid_of(trial_of, f"training.steps={steps}")
    assert grid[0] == 0
    assert grid[-1] == steps
    assert all(isinstance(step, int) for step in grid)
    for step, following in pairwise(grid):
        assert following == step + 1 or 1 < following / step <= 1.15


def test_the_geometric_grid_starts_with_every_step_and_is_short(trial_of):
    grid = grid_of(trial_of, "training.steps=1000")
    assert grid[:14] == list(range(14))
    assert len(grid) < 50


@pytest.mark.parametrize("steps", [319, 320, 321, 638, 639, 5000])
@pytest.mark.parametrize("every", [1, 2, 7, 16])
def test_no_grid_that_is_allowed_has_more_points_than_mlflow_draws(trial_of, steps, every):
    settings = {"training.steps": steps, "training.eval_every": every, "training.measure_every": every}
    overrides = (*(f"{key}={value}" for key, value in settings.items()), "training.measures=[rank]")
    try:
        trial = trial_of(*overrides, "training.eval_grid=linear")
    except ConfigError:
        assert steps / every > 319
    else:
        assert max(len(evaluation_steps(trial)), len(measured_steps(trial))) <= 320


def test_the_geometric_grid_of_the_longest_training_has_no_more_points_than_mlflow_draws(trial_of):
    assert len(grid_of(trial_of, "training.steps=1000000000")) <= 320


def test_a_longer_budget_keeps_the_grid_of_a_shorter_one(trial_of):
    short, long = (grid_of(trial_of, f"training.steps={steps}") for steps in (500, 5000))
    assert short[:-1] == long[: len(short) - 1]


@pytest.mark.parametrize(
    ("steps", "every", "grid"),
    [
        (10, 5, [0, 5, 10]),
        (11, 5, [0, 5, 10, 11]),
        (3, 100, [0, 3]),
        (4, 1, [0, 1, 2, 3, 4]),
        (1, 1, [0, 1]),
    ],
)
def test_the_linear_grid_goes_by_eval_every_and_ends_at_the_budget(trial_of, steps, every, grid):
    overrides = ("training.eval_grid=linear", f"training.steps={steps}", f"training.eval_every={every}")
    assert grid_of(trial_of, *overrides) == grid


def test_arms_that_differ_in_norm_or_learning_rate_share_their_grid(trial_of):
    arms = [("norm.name=batch",), ("optimizer.lr=3",), ("seed=8",), ("model.name=cnn",), ()]
    assert len({tuple(grid_of(trial_of, "training.steps=300", *arm)) for arm in arms}) == 1


settings_of_evaluation = st.fixed_dictionaries(
    {
        "steps": st.integers(1, 20_000),
        "batch_size": st.integers(1, 84),
        "val_size": st.integers(1, 6000),
    }
)


@settings(max_examples=100, deadline=None)
@given(settings_of_evaluation)
def test_evaluation_costs_at_most_a_fifth_of_the_time_unless_100_images_do(trial_of, drawn):
    steps, batch_size, val_size = drawn["steps"], drawn["batch_size"], drawn["val_size"]
    trial = trial_of(f"training.steps={steps}", f"training.batch_size={batch_size}")
    examples = evaluation_examples(trial, val_size)
    assert min(val_size, 100) <= examples <= val_size
    evaluated = len(evaluation_steps(trial)) * (1 + 1 / 4) * examples
    trained = steps * batch_size
    # A step costs at most three forward passes, so a fifth of the time is 3/4 of the images trained on.
    if examples > 100:
        assert evaluated <= 0.75 * trained
    if 100 < examples < val_size:
        assert evaluated * (examples + 1) / examples > 0.4 * trained, "and nearly as many as it can afford"


def test_eval_examples_is_taken_at_its_word_up_to_the_split(trial_of):
    trial = trial_of("training.eval_examples=30")
    assert evaluation_examples(trial, 500) == 30
    assert evaluation_examples(trial, 20) == 20


def blocks_of(trial_of, images_of, *overrides: str, done: int = 0):
    class Trainer:
        global_step = done

    trials = [trial_of(*overrides, "training.batch_size=4", f"seed={seed}") for seed in (0, 1)]
    module = PackDataModule(images_of(1, 2, 2), PackedTrials(trials))
    module.trainer = Trainer() if done else None
    return list(module.train_dataloader()), evaluation_steps(trials[0])


@pytest.mark.parametrize(
    "overrides",
    [
        ("training.steps=1000",),
        ("training.steps=1",),
        ("training.steps=1000", "training.eval_grid=linear", "training.eval_every=300"),
        ("training.steps=256", "training.eval_grid=linear", "training.eval_every=128"),
    ],
)
def test_blocks_follow_one_another_end_at_every_evaluation_and_are_at_most_128_steps(overrides, trial_of, images_of):
    blocks, grid = blocks_of(trial_of, images_of, *overrides)
    starts, ends = [b.start for b in blocks], [b.start + len(b.rows) for b in blocks]
    assert starts == [0, *ends[:-1]]
    assert ends[-1] == grid[-1]
    assert set(grid[1:]) <= set(ends)
    assert all(0 < len(b.rows) <= 128 for b in blocks)
    assert all(b.rows.shape[1:] == (2, 4) for b in blocks)


def test_no_block_is_cut_without_need(trial_of, images_of):
    overrides = ("training.steps=300", "training.eval_grid=linear", "training.eval_every=150")
    blocks, _ = blocks_of(trial_of, images_of, *overrides)
    assert [len(b.rows) for b in blocks] == [128, 22, 128, 22]


@pytest.mark.parametrize("done", [1, 37, 128, 299])
def test_a_resumed_trial_sees_the_images_it_would_have_seen(done, trial_of, images_of):
    import torch

    whole, _ = blocks_of(trial_of, images_of, "training.steps=300")
    rest, grid = blocks_of(trial_of, images_of, "training.steps=300", done=done)
    assert rest[0].start == done
    expected = torch.cat([b.rows for b in whole])[done:]
    assert torch.equal(torch.cat([b.rows for b in rest]), expected)
    assert {step for step in grid if step > done} <= {b.start + len(b.rows) for b in rest}


@pytest.mark.parametrize("extra", [(), ("training.eval_grid=linear", "training.eval_every=7")])
def test_coarse_steps_are_every_fourth_evaluation_and_the_first_and_last(extra, trial_of):
    trial = trial_of("training.steps=200", *extra)
    grid, coarse = evaluation_steps(trial), coarse_steps(trial)
    assert (coarse[0], coarse[-1]) == (0, 200)
    assert [grid.index(step) for step in coarse[:-1]] == [*range(0, len(grid) - 1, 4)]
