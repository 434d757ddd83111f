"""What `fit` reports, judged by plain torch on networks that a learning rate of 1e-30 leaves as they are."""

import os
import signal
import subprocess
import sys

import pytest
import torch
from torch import nn

from bnbench.config import Loss, Statistics
from bnbench.config.evaluation_grid import evaluation_steps
from bnbench.data import split_data
from bnbench.models import build_model
from bnbench.norms.batch import BatchNorm
from bnbench.packing.pack import pack
from bnbench.packing.packed_trials import PackedTrials
from bnbench.record import names
from bnbench.training.data_module import PackDataModule
from bnbench.training.evaluate import evaluate
from bnbench.training.fit import fit
from bnbench.training.image_batches import BatchOrder, PackImages

MODELS = {
    "fc": ("model.depth=2", "model.width=9"),
    "cnn": ("model.name=cnn", "model.depth=3", "model.width=2", "model.hidden=5"),
}
NORMS = {"none": (), "before": ("norm.name=batch",), "after": ("norm.name=batch", "norm.placement=after")}
STILL = ("optimizer.lr=1e-30", "training.precision=float64", "norm.momentum=1", "training.batch_size=8")


class Plain:
    """A trial's network, images and split, for plain torch to work on."""

    def __init__(self, trial, data) -> None:
        self.trial = trial
        self.net = build_model(trial, data.shape, data.classes)
        self.images = torch.from_numpy(data.images).double() * torch.tensor(1 / 255, dtype=torch.float32).double()
        self.labels = torch.from_numpy(data.labels)
        self.split = split_data(data, kind=trial.data.split, seed=trial.seed)
        self.order = BatchOrder(trial.seed, self.split.train, trial.training.batch_size)

    def measure(self, rows) -> tuple[float, float]:
        """Mean loss and accuracy, in whatever mode the network is."""
        with torch.no_grad():
            logits = self.net(self.images[rows])
        labels = self.labels[rows]
        if self.trial.training.loss == Loss.softmax:
            loss = nn.functional.cross_entropy(logits, labels)
        else:
            hot = nn.functional.one_hot(labels, logits.shape[1]).double()
            loss = nn.functional.binary_cross_entropy_with_logits(logits, hot)
        return loss.item(), (logits.argmax(1) == labels).double().mean().item()

    def train_step(self, step: int) -> tuple[float, float]:
        """What a training step sees; all it changes are the running statistics (momentum 1)."""
        self.net.train()
        return self.measure(self.order.rows(step, step + 1)[0])


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("model", MODELS)
def test_every_number_is_what_plain_torch_measures(model, norm, loss, trial_of, images_of):
    data = images_of(1, 6, 6, count=600)
    steps = (
        "training.steps=10",
        "training.eval_grid=linear",
        "training.eval_every=4",
        f"training.loss={loss}",
    )
    trials = [trial_of(*MODELS[model], *NORMS[norm], *STILL, *steps, f"seed={seed}") for seed in (0, 5)]
    for trial, result in zip(trials, fit(trials, data), strict=True):
        plain = Plain(trial, data)
        expected: dict[str, list] = {key: [] for key in names.CURVES}
        seen: list[tuple[float, float]] = []
        for step in range(11):
            if step in (0, 4, 8, 10):
                plain.net.eval()
                val_loss, val_acc = plain.measure(plain.split.val)
                expected[names.VAL_LOSS].append((step, val_loss))
                expected[names.VAL_ACC].append((step, val_acc))
                if seen:
                    expected[names.TRAIN_LOSS].append((step, sum(loss for loss, _ in seen) / len(seen)))
                    expected[names.TRAIN_ACC].append((step, sum(acc for _, acc in seen) / len(seen)))
                seen = []
            if step < 10:
                seen.append(plain.train_step(step))
        for key in (names.VAL_LOSS, names.VAL_ACC, names.TRAIN_LOSS, names.TRAIN_ACC):
            assert [step for step, _ in result.curves[key]] == [step for step, _ in expected[key]]
            values = [value for _, value in expected[key]]
            assert [value for _, value in result.curves[key]] == pytest.approx(values, rel=1e-9), key
        plain.net.eval()
        test_loss, test_acc = plain.measure(plain.split.test)
        assert len(plain.split.test) == 120
        assert result.metrics[names.TEST_LOSS] == pytest.approx(test_loss, rel=1e-9)
        assert result.metrics[names.TEST_ACC] == pytest.approx(test_acc, rel=1e-9)
        first = plain.measure(plain.split.test[:100])[1]
        assert result.metrics[names.TEST_ACC_ONE_BY_ONE] == pytest.approx(first, rel=1e-9)


def test_the_curve_is_on_eval_examples_to_its_end_and_the_last_evaluation_on_all_validation_images(trial_of, images_of):
    data = images_of(1, 6, 6, count=600)
    trial = trial_of(*MODELS["fc"], *NORMS["before"], *STILL, "training.steps=10", "training.eval_examples=7")
    (result,) = fit([trial], data)
    plain = Plain(trial, data)
    for step in range(10):
        plain.train_step(step)
    plain.net.eval()
    assert len(plain.split.val) == 60
    loss, acc = plain.measure(plain.split.val)
    assert result.metrics[names.VAL_LOSS_FINAL] == pytest.approx(loss, rel=1e-9)
    assert result.metrics[names.VAL_ACC_FINAL] == pytest.approx(acc, rel=1e-9)
    some_loss, some_acc = plain.measure(plain.split.val[:7])
    assert result.curves[names.VAL_LOSS][-1] == (10, pytest.approx(some_loss, rel=1e-9))
    assert result.curves[names.VAL_ACC][-1] == (10, pytest.approx(some_acc, rel=1e-9))
    assert some_loss != pytest.approx(loss, rel=1e-3), "the two can be told apart"
    assert (result.metrics[names.VAL_IMAGES], result.metrics[names.VAL_IMAGES_CURVE]) == (60, 7)
    curve = [value for _, value in result.curves[names.VAL_ACC]]
    assert result.metrics[names.ACC_BEST] == max(curve), "the best point of the curve is on the curve's images"


def test_where_the_curve_is_on_all_validation_images_its_end_is_the_last_evaluation(trial_of, images_of):
    data = images_of(1, 6, 6, count=600)
    (result,) = fit([trial_of(*MODELS["fc"], *NORMS["before"], "training.batch_size=8", "training.steps=10")], data)
    assert result.metrics[names.VAL_IMAGES] == result.metrics[names.VAL_IMAGES_CURVE] == 60
    assert result.metrics[names.VAL_LOSS_FINAL] == result.curves[names.VAL_LOSS][-1][1]
    assert result.metrics[names.VAL_ACC_FINAL] == result.curves[names.VAL_ACC][-1][1]


@pytest.mark.parametrize("split", ["fixed", "by_seed"])
def test_the_largest_class_of_its_own_test_images_is_recorded_with_each_trial(split, trial_of, images_of):
    data = images_of(1, 6, 6, count=237)
    trials = [trial_of(*MODELS["fc"], f"data.split={split}", "training.steps=2", f"seed={seed}") for seed in (0, 1)]
    for trial, result in zip(trials, fit(trials, data), strict=True):
        labels = data.labels[split_data(data, kind=split, seed=trial.seed).test].tolist()
        most = max(labels.count(label) for label in labels)
        assert result.metrics[names.LARGEST_CLASS] == result.data["largest_class"] == most / len(labels)
        assert result.metrics[names.TEST_IMAGES] == len(labels)


@pytest.mark.parametrize("model", MODELS)
def test_acc_batch_is_the_accuracy_under_the_evaluation_batchs_own_statistics(model, trial_of, images_of):
    data = images_of(1, 6, 6, count=600)
    trial = trial_of(*MODELS[model], *NORMS["before"], *STILL, "training.steps=10")
    (result,) = fit([trial], data)
    plain = Plain(trial, data)
    rows = plain.split.val
    assert len(rows) == 60, "one batch of evaluation"
    under_batch = plain.measure(rows)[1]  # in training mode
    plain.net.eval()
    assert plain.measure(rows)[1] == pytest.approx(under_batch), "momentum 1: its statistics are the running ones"
    grid = evaluation_steps(trial)
    curve = result.curves[names.VAL_ACC_BATCH]
    assert [step for step, _ in curve] == sorted({*grid[::4], grid[-1]})
    assert [value for _, value in curve] == pytest.approx([under_batch] * len(curve), rel=1e-9)
    assert {value for _, value in result.curves[names.VAL_ACC]} != {under_batch}


def test_without_running_statistics_there_is_no_acc_batch(trial_of, images_of):
    trial = trial_of(*MODELS["fc"], *STILL, "training.steps=3")
    (result,) = fit([trial], images_of(1, 6, 6))
    assert names.VAL_ACC_BATCH not in result.curves


@pytest.mark.parametrize("batch", [1, 7, 128])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("model", MODELS)
def test_evaluation_under_running_statistics_does_not_depend_on_its_batches(model, norm, batch, trial_of, images_of):
    data = images_of(1, 6, 6, count=600)
    trials = [trial_of(*MODELS[model], *NORMS[norm], *STILL, f"seed={seed}") for seed in range(2)]
    packed, images = pack_of(trials, data)
    rows = images.rows("val", 60)
    packed(images.batch(packed, rows)[0])  # running statistics that are not 0 and 1
    measured = evaluate(packed, images, rows, Loss.softmax, batch=batch)
    for k, trial in enumerate(trials):
        plain = Plain(trial, data)
        plain.measure(rows[k])
        plain.net.eval()
        loss, acc = plain.measure(rows[k])
        assert measured.loss[k].item() == pytest.approx(loss, rel=1e-10)
        assert measured.acc[k].item() == pytest.approx(acc, rel=1e-10)


@pytest.mark.parametrize("model", MODELS)
def test_evaluation_under_batch_statistics_leaves_the_running_ones_and_the_mode_alone(model, trial_of, images_of):
    data = images_of(1, 6, 6, count=600)
    trials = [trial_of(*MODELS[model], *NORMS["after"], *STILL, f"seed={seed}") for seed in range(2)]
    packed, images = pack_of(trials, data)
    before = {name: value.clone() for name, value in packed.state_dict().items()}
    rows = images.rows("val", 60)
    measured = evaluate(packed, images, rows, Loss.softmax, batch=30, statistics=Statistics.batch)
    assert all(torch.equal(value, before[name]) for name, value in packed.state_dict().items())
    assert packed.training
    assert all(norm.statistics == Statistics.running for norm in packed.modules() if isinstance(norm, BatchNorm))
    for k, trial in enumerate(trials):
        plain = Plain(trial, data)
        halves = [plain.measure(half) for half in rows[k].split(30)]
        assert measured.loss[k].item() == pytest.approx(sum(loss for loss, _ in halves) / 2, rel=1e-10)
        assert measured.acc[k].item() == pytest.approx(sum(acc for _, acc in halves) / 2, rel=1e-10)
    again = evaluate(packed, images, rows, Loss.softmax)
    assert not torch.allclose(again.loss, measured.loss), "the next evaluation is under running statistics again"


def pack_of(trials, data):
    packed = pack([build_model(trial, data.shape, data.classes) for trial in trials])
    return packed, PackImages(data, PackedTrials(trials).padded(packed.slots))


@pytest.mark.parametrize(
    ("overrides", "parameters", "statistics"),
    [
        ((), 99_710, 0),
        (("norm.name=batch",), 100_010, 600),
        (("norm.name=batch", "norm.affine=false"), 99_410, 600),
    ],
)
def test_parameters_are_counted_for_one_trial(overrides, parameters, statistics, trial_of, images_of):
    data = images_of(1, 28, 28)
    trials = [trial_of(*overrides, "training.steps=1", "training.batch_size=2", f"seed={s}") for s in range(3)]
    for result in fit(trials, data):
        assert result.metrics[names.PARAMETERS] == parameters
        assert result.metrics[names.STATISTICS] == statistics


SHORT = (*MODELS["fc"], "training.steps=6", "training.batch_size=8", "training.targets=[0.05,0.9999]")


def test_one_seed_repeats_and_two_seeds_differ_in_every_number(trial_of, images_of):
    data = images_of(1, 6, 6)
    one, again, two = (fit([trial_of(*SHORT, f"seed={seed}")], data)[0] for seed in (1, 1, 2))
    assert (one.metrics, one.curves) == (again.metrics, again.curves)
    assert one.metrics[names.TEST_LOSS] != two.metrics[names.TEST_LOSS]
    for key in (names.TRAIN_LOSS, names.VAL_LOSS):
        assert all(a != b for a, b in zip(one.curves[key], two.curves[key], strict=True))


def test_arms_of_one_seed_start_from_the_same_loss(trial_of, images_of):
    arms = [(), ("optimizer.lr=0.5",), ("optimizer.weight_decay=0.1",), ("schedule.name=cosine",)]
    results = [fit([trial_of(*SHORT, *arm)], images_of(1, 6, 6))[0] for arm in arms]  # decay has a pack of its own
    assert len({result.curves[names.TRAIN_LOSS][0] for result in results}) == 1
    assert len({result.curves[names.VAL_LOSS][0] for result in results}) == 1
    assert len({result.curves[names.VAL_LOSS][-1] for result in results}) == 4


def test_results_come_in_the_order_of_the_trials_with_what_was_measured_of_each(trial_of, images_of):
    data = images_of(1, 6, 6)
    trials = [trial_of(*SHORT, f"seed={seed}") for seed in (3, 1, 2)]
    results = fit(trials, data)
    assert [result.key for result in results] == [trial.key for trial in trials]
    assert [result.params for result in results] == [trial.params for trial in trials]
    assert [result.tags[names.Tag.SLOT] for result in results] == ["0", "1", "2"]
    for result in results:
        assert result.tags[names.Tag.PACK_WIDTH] == "3"
        assert (result.data["train"], result.data["val"], result.data["test"]) == (84, 12, 24)
        assert result.data["checksum"] == data.checksum
        assert result.started < result.ended
        assert result.metrics[names.reached(0.9999)] == 0
        assert names.steps_to(0.9999) not in result.metrics
        assert type(result).from_json(result.to_json()) == result


def test_training_learns_a_task_that_can_be_learned(trial_of):
    import numpy as np

    from bnbench.data import ImageData

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 300)
    images = rng.integers(0, 60, (300, 1, 4, 4), dtype=np.uint8)
    images.reshape(300, 16)[np.arange(300), labels * 4] += 190  # one bright pixel tells the class
    data = ImageData.from_arrays("made_up", images, labels, classes=4, source="a test")
    for norm in NORMS:
        trial = trial_of(
            "model.depth=1", "model.width=16", *NORMS[norm], "training.steps=150", "training.batch_size=20"
        )
        (result,) = fit([trial], data)
        assert result.metrics[names.TEST_ACC] > 0.95, norm


def test_progress_is_reported_after_every_block(trial_of, images_of):
    seen: list[tuple[int, int]] = []
    overrides = (
        *MODELS["fc"],
        "training.batch_size=8",
        "training.eval_grid=linear",
        "training.eval_every=200",
    )
    trial = trial_of(*overrides, "training.steps=300")
    fit([trial], images_of(1, 6, 6), report=lambda steps, diverged: seen.append((steps, diverged)))
    assert seen == [(128, 0), (200, 0), (300, 0)]


def test_an_interrupt_is_a_keyboard_interrupt_and_ctrl_c_still_works_after_it(trial_of, images_of):
    def interrupt(steps: int, diverged: int) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            fit([trial_of(*SHORT)], images_of(1, 6, 6), report=interrupt)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_error_on_the_way_is_raised_as_it_is(trial_of, images_of):
    def fail(steps: int, diverged: int) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fit([trial_of(*SHORT)], images_of(1, 6, 6), report=fail)


def test_training_says_nothing_and_writes_nothing(trial_of, images_of, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    fit([trial_of(*SHORT)], images_of(1, 6, 6))
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_batch_size_one_trains_where_it_is_defined(trial_of, images_of):
    data = images_of(1, 8, 8)
    one = ("training.batch_size=1", "training.steps=5")
    trials = {
        "fc": (),
        "fc, constant": ("norm.name=batch", "norm.single_value=constant"),
        "cnn": ("model.name=cnn", "model.depth=4", "model.width=2"),
        "cnn, constant": (
            "model.name=cnn",
            "model.depth=9",
            "model.width=1",
            "norm.name=batch",
            "norm.single_value=constant",
        ),
    }
    for name, overrides in trials.items():
        (result,) = fit([trial_of(*overrides, *one)], data)
        assert result.status == "finished", name
        assert result.curves[names.TRAIN_LOSS][0] != result.curves[names.TRAIN_LOSS][-1]


def test_batch_norm_over_a_single_value_is_refused_while_training(trial_of, images_of):
    with pytest.raises(ValueError, match=r"norm\.single_value=constant"):
        fit([trial_of("norm.name=batch", "training.batch_size=1", "training.steps=2")], images_of(1, 8, 8))


def test_a_block_knows_where_it_starts(trial_of, images_of):
    trial = trial_of(*SHORT)
    first, second, *_ = PackDataModule(images_of(1, 6, 6), PackedTrials([trial, trial])).train_dataloader()
    assert (first.start, second.start) == (0, 1)


def test_importing_bnbench_asks_mkl_for_the_same_bits_everywhere():
    script = "import os, bnbench; print(os.environ['MKL_CBWR'])"
    environment = {key: value for key, value in os.environ.items() if key != "MKL_CBWR"}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "AUTO,STRICT"


@pytest.mark.parametrize("module", ["callbacks", "data_module"])
def test_every_module_of_training_can_be_imported_first(module):
    # Lightning imports torchvision, whose compiled operators may be missing.
    subprocess.run([sys.executable, "-c", f"import bnbench.training.{module}"], capture_output=True, check=True)
