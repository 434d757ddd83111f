"""A trial that diverges is told by its step, and no bit of its neighbours changes."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from bnbench.config.evaluation_grid import evaluation_steps
from bnbench.models import build_model
from bnbench.packing.pack import pack
from bnbench.record import names
from bnbench.training import fit as training_fit
from bnbench.training import module as training_module
from bnbench.training.fit import fit
from bnbench.training.image_batches import BatchOrder

MODELS = {
    "fc": ("model.depth=2", "model.width=9", "training.batch_size=7"),
    "cnn": (
        "model.name=cnn",
        "model.depth=4",
        "model.stride_every=1",
        "model.width=3",
        "model.hidden=5",
        "training.batch_size=6",
    ),
}


def numbers(result) -> tuple:
    return result.status, result.diverged_step, result.metrics, result.curves


@pytest.fixture(scope="module")
def sick_trial(trial_of):
    """Makes a trial with a learning rate that the schema would not let pass."""

    def make(lr: float, *overrides: str):
        return replace(trial_of(*overrides), lr=lr)

    return make


@pytest.mark.parametrize("lr", [float("nan"), 1e30])
@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("model", MODELS)
def test_a_sick_trial_in_any_slot_changes_no_bit_of_its_neighbours(model, norm, lr, trial_of, sick_trial, images_of):
    # A linear grid: the sick trial goes on for 10 steps after its loss was lost, until the block ends.
    overrides = (
        *MODELS[model],
        f"norm.name={norm}",
        "training.steps=24",
        "training.eval_grid=linear",
        "training.eval_every=12",
        "training.targets=[0.9999]",
    )
    data = images_of(1, 8, 8)
    healthy = [trial_of(*overrides, f"seed={seed}", "optimizer.lr=0.05") for seed in range(4)]
    alone = [numbers(result) for result in fit(healthy, data)]
    assert {status for status, *_ in alone} == {"finished"}
    sick = sick_trial(lr, *overrides, "seed=7")
    # With a rate of 1e30 a batch-normalized network stays finite for as long as its parameters do.
    lost_at = first_bad_step(sick, data) if lr == 1e30 else 2
    for slot in range(5):
        trials = [*healthy[:slot], sick, *healthy[slot:]]
        results = fit(trials, data)
        assert [numbers(r) for i, r in enumerate(results) if i != slot] == alone, slot
        if lost_at is not None:
            assert (results[slot].status, results[slot].diverged_step) == ("diverged", lost_at)


def first_bad_step(trial, data) -> int | None:
    """The first step whose loss is not finite in plain torch, counted from 1."""
    net = build_model(trial, data.shape, data.classes)
    images = torch.from_numpy(data.images).to(getattr(torch, trial.training.precision)) / 255
    labels = torch.from_numpy(data.labels)
    optimizer = torch.optim.SGD(net.parameters(), lr=trial.lr, weight_decay=trial.optimizer.weight_decay)
    order = BatchOrder(trial.seed, train_rows(trial, data), trial.training.batch_size)
    for step, rows in enumerate(order.rows(0, trial.steps), start=1):
        loss = nn.functional.cross_entropy(net(images[rows]), labels[rows])
        if not torch.isfinite(loss):
            return step
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return None


def train_rows(trial, data):
    from bnbench.data import split_data

    return split_data(data, kind=trial.data.split, seed=trial.seed).train


@pytest.fixture(scope="module")
def exploding(trial_of):
    """Makes a trial whose weights are multiplied by 1 - decay / 10 at every step."""

    def make(decay: float, *overrides: str, seed: int = 0):
        return trial_of(
            "model.depth=1",
            "model.width=4",
            "model.activation=identity",
            "training.batch_size=7",
            "training.steps=100",
            "training.eval_grid=linear",
            "training.eval_every=40",
            "optimizer.lr=0.1",
            *overrides,
            f"optimizer.weight_decay={decay}",
            f"seed={seed}",
        )

    return make


# The kernels add a batch's losses in double precision, in which a sum is finite that overflows in single precision.
@pytest.mark.parametrize(("engine", "later"), [("torch", {0}), ("lanes", {0, 1})])
def test_the_step_of_divergence_is_that_of_plain_torch_wherever_it_falls_in_a_block(
    engine, later, exploding, images_of
):
    data = images_of(1, 4, 4)
    decays = [100.0, 45.0, 1e-6, 1000.0, 30.0, 28.0]
    trials = [exploding(decay, f"training.engine={engine}", seed=i) for i, decay in enumerate(decays)]
    expected = [first_bad_step(trial, data) for trial in trials]
    assert expected[2] is None
    steps = [step for step in expected if step is not None]
    assert len(set(steps)) == 5, "each at another step"
    assert min(steps) < 40 < max(steps), "in the first block and later"
    results = fit(trials, data)
    found = [result.diverged_step for result in results]
    assert found[2] is None
    assert {a - b for a, b in zip(found, expected, strict=True) if a is not None} <= later
    assert [result.status for result in results] == ["finished" if s is None else "diverged" for s in expected]


def test_a_pack_of_lanes_refuses_to_be_narrowed(trial_of, images_of):
    """Its kernels would go on with all lanes, and results be those of other trials."""
    trials = [trial_of(*MODELS["fc"], f"seed={seed}") for seed in range(4)]
    packed, _ = training_fit.make_pack(trials, images_of(1, 4, 4))
    assert packed.width_of(1) == packed.slots
    with pytest.raises(AssertionError, match="lanes of a pack stay as they are"):
        packed.select([0, 1])


def test_a_diverged_trial_has_neither_final_metrics_nor_curves_from_its_last_evaluation_on(exploding, images_of):
    (result,) = fit([exploding(28.0, "training.targets=[0.9999]")], images_of(1, 4, 4))
    assert 40 < result.diverged_step < 80
    assert result.reason == f"the loss was not finite at step {result.diverged_step}"
    assert set(result.metrics) == {
        names.reached(0.9999),
        names.PARAMETERS,
        names.STATISTICS,
        names.VAL_IMAGES,
        names.VAL_IMAGES_CURVE,
        names.TEST_IMAGES,
        names.LARGEST_CLASS,
    }
    assert result.metrics[names.reached(0.9999)] == 0
    assert {step for points in result.curves.values() for step, _ in points} <= {0, 40}
    assert result.to_json(), "strict JSON takes it"


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_diverged_slot_is_cleared_and_stays_so(norm, trial_of, sick_trial, images_of, monkeypatch):
    packs = []
    monkeypatch.setattr(training_fit, "pack", lambda *nets: packs.append(pack(*nets)) or packs[0])
    overrides = (*MODELS["fc"], f"norm.name={norm}", "training.steps=9", "training.engine=torch")
    fit(
        [trial_of(*overrides), sick_trial(float("nan"), *overrides), trial_of(*overrides, "seed=1")], images_of(1, 8, 8)
    )
    values = [list(packs[0].slot_state(slot).values()) for slot in range(3)]
    assert all(value.count_nonzero() == 0 for value in values[1])
    assert not any(value.count_nonzero() == 0 for value in (*values[0], *values[2]))


def test_training_stops_at_the_end_of_the_block_in_which_the_last_trial_diverged(exploding, images_of):
    reports: list[tuple[int, int]] = []
    trials = [exploding(1000.0), exploding(100.0, seed=1)]
    results = fit(trials, images_of(1, 4, 4), report=lambda steps, diverged: reports.append((steps, diverged)))
    assert [result.status for result in results] == ["diverged", "diverged"]
    assert reports == [(40, 2)]


def test_progress_counts_the_trials_that_diverged_and_none_of_the_padding(exploding, images_of):
    reports: list[tuple[int, int]] = []
    report = lambda steps, diverged: reports.append((steps, diverged))  # noqa: E731
    fit([exploding(1000.0)], images_of(1, 4, 4), report=report)  # its copy in the padding diverges too
    assert reports == [(40, 1)]
    reports.clear()
    fit([exploding(1000.0), exploding(1e-6), exploding(28.0)], images_of(1, 4, 4), report=report)
    assert reports == [(40, 1), (80, 2), (100, 2)]


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("norm", ["none", "batch", "online", "noisy_batch"])
@pytest.mark.parametrize("model", MODELS)
def test_those_left_alive_move_together_and_keep_every_bit(
    model, norm, optimizer, trial_of, sick_trial, images_of, monkeypatch
):
    widths = []
    moved = training_module.PackModule._move
    monkeypatch.setattr(
        training_module.PackModule,
        "_move",
        lambda module, alive, opt: (moved(module, alive, opt), widths.append(module.pack.slots))[0],
    )
    overrides = (
        *MODELS[model],
        f"norm.name={norm}",
        f"optimizer.name={optimizer}",
        "training.engine=torch",
        "training.steps=24",
        "training.eval_grid=linear",
        "training.eval_every=6",
        "training.targets=[0.1]",
    )
    data = images_of(1, 8, 8)
    healthy = [trial_of(*overrides, f"seed={seed}", f"optimizer.lr={0.01 * (1 + seed)}") for seed in range(3)]
    alone = [numbers(result) for result in fit(healthy, data)]
    assert not widths
    sick = [sick_trial(float("nan"), *overrides, f"seed={seed}") for seed in range(7, 28)]
    places = (2, 11, 23)
    trials = [healthy[places.index(slot)] if slot in places else sick.pop() for slot in range(24)]
    results = fit(trials, data)
    assert [numbers(results[place]) for place in places] == alone
    assert {r.diverged_step for i, r in enumerate(results) if i not in places} == {2}
    assert widths == [3 if model == "fc" else 16], "24 or 32 slots before; with 3 channels, convs want 16 at a time"


def test_trials_that_diverge_one_after_the_other_are_left_behind_and_the_last_goes_on(exploding, images_of):
    data = images_of(1, 4, 4)
    decays = [1000.0, 30.0, 1e-6, 100.0, 45.0, 28.0, 24.0, 500.0]
    often = ("training.eval_every=10", "training.engine=torch")
    trials = [exploding(decay, *often, seed=i) for i, decay in enumerate(decays)]
    diverging = [trial for i, trial in enumerate(trials) if i != 2]
    whole, alone = fit(trials, data), fit([trials[2]], data)
    assert numbers(whole[2]) == numbers(alone[0])
    assert [r.diverged_step for i, r in enumerate(whole) if i != 2] == [first_bad_step(t, data) for t in diverging]


@pytest.mark.parametrize("overrides", [("optimizer.lr=1e6",), ("norm.name=batch", "optimizer.lr=1e6")])
def test_a_huge_but_harmless_learning_rate_is_no_divergence(overrides, trial_of, images_of):
    trial = trial_of("model.depth=1", "model.width=4", "training.batch_size=7", "training.steps=2", *overrides)
    data = images_of(1, 4, 4)
    assert first_bad_step(trial, data) is None
    (result,) = fit([trial], data)
    assert result.status == "finished"


def test_a_network_lost_in_the_very_last_update_is_a_divergence(sick_trial, images_of):
    # Its last loss was finite, but the network that the test metrics would be of is not.
    trial = sick_trial(float("nan"), "model.depth=1", "model.width=4", "training.batch_size=7", "training.steps=1")
    (result,) = fit([trial], images_of(1, 4, 4))
    assert result.status == "diverged"
    assert names.TEST_ACC not in result.metrics


def test_no_accuracy_is_recorded_of_a_network_whose_loss_is_not_finite(sick_trial, images_of):
    trial = sick_trial(float("nan"), "model.depth=1", "model.width=4", "training.batch_size=7", "training.steps=3")
    (result,) = fit([trial], images_of(1, 4, 4))
    assert evaluation_steps(trial)[:2] == [0, 1]
    assert [step for step, _ in result.curves[names.VAL_ACC]] == [0], "after step 1 there is no network"
