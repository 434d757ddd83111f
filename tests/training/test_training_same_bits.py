"""Whole trials give the same bits in every slot of every pack: metrics and curves are compared with ==."""

import random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bnbench.norms import NORMS as NAMES
from bnbench.record import names
from bnbench.training.fit import fit

WIDTHS = (2, 3, 5, 8, 16, 24)

FC_28 = ((1, 28, 28), ("model.name=fc",))
FC_8 = ((1, 8, 8), ("model.name=fc", "model.width=37"))
NORMS = {
    "none": ("norm.name=none",),
    "before": ("norm.name=batch", "norm.placement=before"),
    "after": ("norm.name=batch", "norm.placement=after"),
}
FC_CASES = [
    (FC_28, "relu", "none", 1, "sgd"),
    (FC_28, "relu", "none", 60, "momentum"),
    (FC_28, "relu", "before", 60, "adam"),
    (FC_28, "relu", "after", 2, "sgd"),
    (FC_8, "relu", "after", 60, "adamw"),
    (FC_8, "relu", "before", 2, "momentum"),
    (FC_8, "sigmoid", "none", 1, "adam"),
    (FC_8, "sigmoid", "none", 2, "adam"),
    (FC_8, "sigmoid", "none", 60, "sgd"),
    (FC_8, "sigmoid", "before", 2, "adam"),
    (FC_8, "sigmoid", "before", 60, "momentum"),
    (FC_8, "sigmoid", "after", 60, "adam"),
    (FC_8, "gelu", "none", 1, "momentum"),
    (FC_8, "gelu", "none", 60, "adam"),
    (FC_8, "gelu", "before", 60, "sgd"),
    (FC_8, "gelu", "after", 2, "adam"),
]
CNN_CASES = [  # width, activation, norm, optimizer
    (1, "relu", "before", "adam"),
    (1, "sigmoid", "none", "momentum"),
    (2, "relu", "after", "sgd"),
    (2, "gelu", "before", "adam"),
    (3, "relu", "before", "momentum"),
    (3, "sigmoid", "after", "adam"),
    (4, "relu", "none", "adam"),
    (5, "relu", "before", "sgd"),
]


def cnn(width: int) -> tuple[tuple[int, int, int], tuple[str, ...]]:
    """Seven conv layers over 8x8 images, the last of them on a 1x1 map."""
    model = (
        "model.name=cnn",
        "model.depth=7",
        "model.stride_every=2",
        f"model.width={width}",
        "model.hidden=9",
    )
    return (1, 8, 8), model


@pytest.fixture(scope="module")
def trials_of(trial_of):
    """Makes 24 trials that differ in everything in which trials of a pack may differ."""

    def make(*overrides: str, count: int = 24):
        # What Adam, and norms whose statistics do not follow the weights, can take.
        gentle = any(o.startswith("optimizer.name=adam") or o == "norm.name=frozen_batch" for o in overrides)
        decays = (
            [1e-4, 1e-3] if any(o in {"optimizer.name=momentum", "optimizer.name=adamw"} for o in overrides) else [0]
        )
        rng = random.Random(0)
        return [
            trial_of(
                "training.steps=5",
                "training.targets=[0.1]",
                *overrides,
                f"seed={slot // 2}",  # two trials share their weights and images
                f"optimizer.lr={rng.choice([0.003, 0.01, 0.02]) if gentle else rng.choice([0.03, 0.1, 0.2])}",
                f"optimizer.momentum={rng.choice([0.5, 0.9, 0.95])}",
                f"optimizer.beta1={rng.choice([0.5, 0.9])}",
                f"optimizer.beta2={rng.choice([0.9, 0.999])}",
                f"optimizer.weight_decay={rng.choice(decays)}",
                f"norm.momentum={rng.choice([0.1, 0.37, 0.9])}",
                f"model.init_gain={rng.choice([0.7, 1.0, 1.3])}",
                f"model.init={rng.choice(['torch', 'kaiming_normal', 'orthogonal'])}",
                *rng.choice(
                    [
                        ["schedule.name=constant"],
                        ["schedule.name=cosine"],
                        ["schedule.name=warmup", "schedule.warmup_steps=3"],
                    ]
                ),
            )
            for slot in range(count)
        ]

    return make


def numbers(results) -> list[tuple]:
    return [(r.status, r.metrics, r.curves) for r in results]


def assert_same_bits(trials, data, orders) -> None:
    """Every pack of trials (lists of their numbers) gives each of them what the pack of all gives."""
    expected = numbers(fit(trials, data))
    for value in expected:
        assert value[0] == "finished"
        assert all(value[2][key] for key in (names.TRAIN_LOSS, names.VAL_LOSS)), "there is something to compare"
    assert len({str(value[2]) for value in expected}) == len(trials), "no two trials are alike"
    for order in orders:
        results = numbers(fit([trials[i] for i in order], data))
        differ = [slot for slot, i in enumerate(order) if results[slot] != expected[i]]
        assert not differ, f"pack of {len(order)}: slots {differ} differ"


# Every slot of 24 meets another slot; then all the widths, each with other trials; then trials alone.
ORDERS = [
    [*range(23, -1, -1)],
    [*range(4, 20)],
    [*range(16, 24)],
    [3, 21, 7, 0, 12],
    [9, 2, 23],
    [5, 4],
    [0],
    [23],
]
assert sorted({len(order) for order in ORDERS}) == [1, *WIDTHS]


@pytest.mark.parametrize(
    ("model", "activation", "norm", "batch_size", "optimizer"),
    FC_CASES,
    ids=[f"{m[0][1]}x{m[0][2]}-{a}-{n}-N{b}-{o}" for m, a, n, b, o in FC_CASES],
)
def test_an_fc_trial_has_the_same_bits_in_every_slot_of_every_pack(
    model, activation, norm, batch_size, optimizer, trials_of, images_of
):
    shape, overrides = model
    trials = trials_of(
        *overrides,
        *NORMS[norm],
        f"model.activation={activation}",
        f"training.batch_size={batch_size}",
        f"optimizer.name={optimizer}",
    )
    assert_same_bits(trials, images_of(*shape), ORDERS)


@pytest.mark.parametrize(("width", "activation", "norm", "optimizer"), CNN_CASES)
def test_a_cnn_trial_has_the_same_bits_in_every_slot_of_every_pack(
    width, activation, norm, optimizer, trials_of, images_of
):
    shape, overrides = cnn(width)
    trials = trials_of(
        *overrides,
        *NORMS[norm],
        f"model.activation={activation}",
        "training.batch_size=8",
        f"optimizer.name={optimizer}",
    )
    assert_same_bits(trials, images_of(*shape), ORDERS)


@pytest.mark.parametrize(
    "extra",
    [
        ("training.loss=sigmoid",),
        ("training.eval_grid=linear", "training.eval_every=40", "training.steps=80"),  # blocks of 40 steps
        ("data.split=by_seed", "data.scaling=standard"),
        ("training.precision=float64", "training.eval_grid=linear"),
    ],
    ids=lambda extra: extra[0],
)
@pytest.mark.parametrize("model", ["fc", "cnn"])
def test_bits_are_the_same_with_every_loss_grid_split_and_precision(model, extra, trials_of, images_of):
    shape, overrides = FC_8 if model == "fc" else cnn(2)
    count = 11
    trials = trials_of(*overrides, *NORMS["before"], "training.batch_size=12", *extra, count=count)
    assert_same_bits(trials, images_of(*shape), [[*range(count - 1, -1, -1)], [4, 9, 1], [6, 5], [10]])


@pytest.mark.parametrize("engine", ["auto", "torch"])
@pytest.mark.parametrize("name", sorted(set(NAMES) - {"none", "batch"}))
@pytest.mark.parametrize("model", ["fc", "cnn"])
def test_bits_are_the_same_with_every_norm(model, name, engine, trials_of, images_of):
    shape, overrides = ((1, 8, 8), ("model.width=34",)) if model == "fc" else cnn(2)
    settings = (
        f"norm.name={name}",
        "norm.groups=2",
        "norm.ghost_size=3",
        "model.hidden=10",
        f"training.engine={engine}",
    )
    trials = trials_of(*overrides, *settings, "training.batch_size=9", count=5)
    assert_same_bits(trials, images_of(*shape), [[4, 3, 2, 1, 0], [1, 3], [2, 0, 4], [3]])


@pytest.mark.parametrize(
    "settings",
    [
        ("norm.name=batch", "norm.impl=manual"),
        ("norm.name=batch", "norm.preset=tensorflow", "norm.inference=precise"),
        ("norm.name=ghost_batch", "norm.ghost_size=3", "norm.inference=batch", "norm.averaging=cumulative"),
        ("norm.name=group", "norm.groups=2", "norm.weight_standardization=true"),
        ("norm.name=none", "norm.weight_standardization=true", "model.init_gain=0.1"),
        ("norm.name=online", "training.batch_size=1"),
    ],
    ids=lambda settings: "-".join(settings),
)
@pytest.mark.parametrize("model", ["fc", "cnn"])
def test_bits_are_the_same_with_every_way_to_normalize(model, settings, trials_of, images_of):
    shape, overrides = ((1, 8, 8), ("model.width=34",)) if model == "fc" else cnn(2)
    trials = trials_of(*overrides, "model.hidden=10", "training.batch_size=9", *settings, count=5)
    assert_same_bits(trials, images_of(*shape), [[4, 3, 2, 1, 0], [1, 3], [2, 0, 4], [3]])


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("fc", ("model.dropout=0.3", "training.batch_size=9")),
        ("fc", ("model.dropout=0.3", "training.batch_size=1")),
        ("fc", ("model.dropout=0.3", "training.batch_size=9", "training.engine=torch")),
        ("cnn", ("model.dropout=0.3", *NORMS["before"], "training.batch_size=9")),
        ("cnn", ("model.padding=same", *NORMS["after"], "training.batch_size=9")),
        ("cnn", ("model.padding=same", "model.width=3", "model.activation=sigmoid", "training.batch_size=1")),
        ("fc", ("norm.logits=plain", *NORMS["before"], "training.batch_size=9")),
        ("cnn", ("norm.logits=affine", "norm.name=layer", "training.batch_size=9")),
        ("fc", ("model.depth=0", "training.batch_size=9")),
        ("fc", ("data.train_examples=20", "data.split=by_seed", "data.scaling=standard", "training.batch_size=9")),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_bits_are_the_same_with_every_feature_of_model_and_data(model, settings, trials_of, images_of):
    shape, overrides = FC_8 if model == "fc" else cnn(2)
    trials = trials_of(*overrides, *settings, count=7)
    assert_same_bits(trials, images_of(*shape), [[6, 5, 4, 3, 2, 1, 0], [1, 3], [2, 0, 6], [5]])


def test_dropouts_of_one_pack_may_differ(trial_of, images_of):
    trials = [trial_of("training.steps=5", f"model.dropout={p}", "optimizer.lr=0.1") for p in (0.1, 0.5, 0.9)]
    assert len({trial.signature for trial in trials}) == 1
    assert_same_bits(trials, images_of(1, 8, 8), [[2, 0, 1], [1, 2], [0]])


def test_the_same_trial_twice_in_a_pack_is_the_same_twice(trials_of, images_of):
    trials = trials_of(*FC_8[1], *NORMS["after"], "training.batch_size=7", count=3)
    results = numbers(fit([trials[0], trials[1], trials[0], trials[2], trials[0]], images_of(1, 8, 8)))
    assert results[0] == results[2] == results[4]
    assert results[0] != results[1]


@pytest.mark.slow
@settings(max_examples=150, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # shrinking is slow
@given(data=st.data())
def test_any_trial_has_the_same_bits_in_any_pack(data, trials_of, images_of):
    draw = data.draw
    if draw(st.booleans(), label="fc"):
        model = (
            "model.name=fc",
            f"model.depth={draw(st.integers(1, 4))}",
            f"model.width={draw(st.integers(1, 130))}",
        )
        shape = draw(st.sampled_from([(1, 28, 28), (1, 8, 8), (3, 5, 7), (1, 1, 1)]))
    else:
        model = (
            "model.name=cnn",
            f"model.depth={draw(st.integers(1, 8))}",
            f"model.width={draw(st.integers(1, 8))}",
            f"model.stride_every={draw(st.integers(1, 3))}",
            f"model.min_map={draw(st.sampled_from([1, 2, 4]))}",
            f"model.hidden={draw(st.integers(1, 30))}",
        )
        shape = draw(st.sampled_from([(1, 8, 8), (3, 9, 6), (1, 28, 28)]))
    norm = draw(st.sampled_from(sorted(NORMS)), label="norm")
    overrides = (
        *model,
        *NORMS[norm],
        f"norm.affine={draw(st.booleans())}",
        f"model.bias={draw(st.sampled_from(['auto', 'always', 'never']))}",
        f"model.activation={draw(st.sampled_from(['relu', 'leaky_relu', 'elu', 'gelu', 'silu', 'softplus', 'sigmoid', 'tanh', 'identity']))}",  # noqa: E501
        f"optimizer.name={draw(st.sampled_from(['sgd', 'momentum', 'adam', 'adamw']))}",
        f"optimizer.nesterov={draw(st.booleans())}",
        f"training.batch_size={draw(st.integers(1 if norm == 'none' else 2, 70))}",
        f"training.loss={draw(st.sampled_from(['softmax', 'sigmoid']))}",
        f"training.precision={draw(st.sampled_from(['float32', 'float32', 'float64']))}",
        f"training.eval_grid={draw(st.sampled_from(['geometric', 'linear']))}",
        f"data.split={draw(st.sampled_from(['fixed', 'by_seed']))}",
        "norm.eps=1e-3",  # keeps tiny networks from diverging, which would leave nothing to compare
    )
    count = draw(st.sampled_from(WIDTHS), label="trials")
    trials = trials_of(*overrides, count=count)
    orders = [draw(st.permutations(range(count)))[:size] for size in draw(st.permutations([count, 1, 2, 3]))]
    expected = numbers(fit(trials, images_of(*shape)))
    for order in orders:
        results = numbers(fit([trials[i] for i in order], images_of(*shape)))
        assert [results[slot] == expected[i] for slot, i in enumerate(order)] == [True] * len(order)
