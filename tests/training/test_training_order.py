"""Which images a step sees: judged by counting, and by the order that a seed alone decides."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bnbench.data import scaling, split_data
from bnbench.models import build_model
from bnbench.packing.pack import pack
from bnbench.packing.packed_trials import PackedTrials
from bnbench.tensors.memory_layout import Layout
from bnbench.tensors.seeding import derive, generator
from bnbench.training.image_batches import BatchOrder, PackImages

TRAIN = np.arange(100, 123)  # 23 rows


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**40), batch_size=st.integers(1, 23))
def test_an_epoch_sees_no_image_twice_and_drops_the_last_partial_batch(seed, batch_size):
    order = BatchOrder(seed, TRAIN, batch_size)
    per_epoch = len(TRAIN) // batch_size
    rows = order.rows(0, 3 * per_epoch)
    assert rows.shape == (3 * per_epoch, batch_size)
    for epoch in rows.reshape(3, -1):
        assert len(set(epoch)) == len(epoch) == per_epoch * batch_size
        assert set(epoch) <= set(TRAIN)


def test_with_a_batch_that_divides_the_split_an_epoch_is_a_permutation():
    for epoch in BatchOrder(0, TRAIN[:20], 5).rows(0, 12).reshape(3, -1):
        assert sorted(epoch) == list(TRAIN[:20])


@settings(max_examples=60, deadline=None)
@given(batch_size=st.integers(1, 23), start=st.integers(0, 60), length=st.integers(1, 20))
def test_any_step_can_be_had_without_the_ones_before(batch_size, start, length):
    stop = start + length
    whole = BatchOrder(5, TRAIN, batch_size).rows(0, stop)
    assert np.array_equal(BatchOrder(5, TRAIN, batch_size).rows(start, stop), whole[start:])


def test_going_back_gives_the_same_rows():
    order = BatchOrder(5, TRAIN, 4)
    first = order.rows(0, 3)
    order.rows(40, 60)
    assert np.array_equal(order.rows(0, 3), first)


def test_epochs_and_seeds_differ_and_a_seed_repeats():
    rows = {seed: BatchOrder(seed, TRAIN, 23).rows(0, 4) for seed in (0, 1)}
    orders = [tuple(epoch) for seed in rows for epoch in rows[seed]]
    assert len(set(orders)) == 8
    assert np.array_equal(BatchOrder(0, TRAIN, 23).rows(0, 4), rows[0])


def test_every_image_comes_first_about_equally_often():
    firsts = [BatchOrder(seed, TRAIN, 1).rows(0, 1).item() for seed in range(1000)]
    counts = np.bincount(np.array(firsts) - 100, minlength=23)
    # Chi-squared with 22 degrees of freedom: 48 is exceeded once in 900 times by chance; the seeds are fixed.
    assert ((counts - 1000 / 23) ** 2 / (1000 / 23)).sum() < 48


ARMS = [
    ("norm.name=none",),
    ("norm.name=batch",),
    ("norm.name=batch", "norm.placement=after", "optimizer.lr=3"),
    ("optimizer.name=adam", "model.init=orthogonal"),
]


def test_one_seed_sees_one_order_in_every_arm_and_every_pack(trial_of, images_of):
    data = images_of(1, 2, 2)
    arms = [trial_of(*arm, "seed=3", "training.batch_size=8") for arm in ARMS]
    others = [trial_of(f"seed={seed}", "training.batch_size=8") for seed in range(3)]
    rows, *of_other_arms = (PackImages(data, PackedTrials([arm])).train_rows(5, 40) for arm in arms)
    assert rows.shape == (35, 1, 8)
    assert all(torch.equal(rows, other) for other in of_other_arms)
    same = trial_of("seed=3", "training.batch_size=8")
    mixed = PackImages(data, PackedTrials([others[0], same, others[1], others[2]])).train_rows(5, 40)
    assert torch.equal(mixed[:, 1], rows[:, 0])
    assert not torch.equal(mixed[:, 0], mixed[:, 2])


def test_training_never_sees_validation_or_test_images(trial_of, images_of):
    data = images_of(1, 2, 2)
    trials = [trial_of(f"seed={seed}", "data.split=by_seed", "training.batch_size=8") for seed in range(3)]
    images = PackImages(data, PackedTrials(trials))
    rows = images.train_rows(0, 30)
    for k, seed in enumerate(range(3)):
        split = split_data(data, kind="by_seed", seed=seed)
        assert set(rows[:, k].flatten().tolist()) <= set(split.train.tolist())
        assert images.rows("val", 5)[k].tolist() == split.val[:5].tolist()
        assert images.rows("test", 7)[k].tolist() == split.test[:7].tolist()


def test_training_sees_each_image_of_its_subset_once_an_epoch_and_no_other(trial_of, images_of):
    data = images_of(1, 2, 2)
    trials = [trial_of(f"seed={seed}", "data.train_examples=24", "training.batch_size=8") for seed in range(2)]
    rows = PackImages(data, PackedTrials(trials)).train_rows(0, 6)  # two epochs
    subset = sorted(split_data(data, kind="fixed", seed=0).train[:24].tolist())
    for k in range(2):
        for epoch in (rows[:3, k], rows[3:, k]):
            assert sorted(epoch.flatten().tolist()) == subset


@pytest.mark.parametrize("model", ["fc", "cnn"])
@pytest.mark.parametrize("kind", ["unit", "symmetric", "standard", "raw", "binary"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_batch_is_each_trials_images_on_its_own_scale(model, kind, precision, trial_of, images_of):
    data = images_of(3, 4, 5)
    overrides = (f"model.name={model}", "model.width=2", f"data.scaling={kind}", "data.split=by_seed")
    trials = [trial_of(*overrides, f"training.precision={precision}", f"seed={seed}") for seed in range(2)]
    packed = pack([build_model(trial, data.shape, data.classes) for trial in trials])
    packed_trials = PackedTrials(trials).padded(packed.slots)
    images = PackImages(data, packed_trials)
    rows = images.train_rows(0, 1)[0][:, :6]
    x, labels = images.batch(packed, rows)
    K = packed.slots
    assert x.shape == (6, K * 3, 4, 5)
    assert x.dtype == getattr(torch, precision)
    stored = x.permute(0, 2, 3, 1) if packed.layout == Layout.channels_last else x.permute(1, 2, 3, 0)
    assert stored.is_contiguous()
    for k in range(K):
        assert labels[k].tolist() == data.labels[rows[k]].tolist()
        split = split_data(data, kind="by_seed", seed=packed_trials.by_slot[k].seed)
        scale, shift = scaling(data, split, kind)
        pixels = data.images[rows[k]]
        pixels = (np.where(pixels < 128, 0, 255) if kind == "binary" else pixels).astype(precision)
        expected = pixels * scale.astype(precision)[:, None, None] + shift.astype(precision)[:, None, None]
        tolerance = 1e-12 if precision == "float64" else 1e-6  # the type's own rounding
        np.testing.assert_allclose(x[:, 3 * k : 3 * k + 3], expected, rtol=tolerance, atol=tolerance)


def test_gathering_a_batch_leaves_the_images_as_they_were(trial_of, images_of):
    data = images_of(1, 2, 2)
    before = data.images.copy()
    trial = trial_of("model.width=3")
    packed = pack([build_model(trial, data.shape, data.classes)])
    images = PackImages(data, PackedTrials([trial, trial]))
    images.batch(packed, images.rows("val", 12))
    assert np.array_equal(data.images, before)


def test_seeds_are_63_bits_that_depend_on_every_part():
    parts = [
        (0, "init", "a"),
        (1, "init", "a"),
        (0, "order", "a"),
        (0, "init", "b"),
        (0, "init"),
        (0,),
        (0, "order", 1),
    ]
    seeds = [derive(*part) for part in parts]
    assert len(set(seeds)) == len(parts)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(derive(seed, "order", 0) for seed in range(100)) > 2**62, "all of the bits are used"


def test_parts_do_not_run_into_one_another():
    assert derive(1, "2") != derive(12)
    assert derive(0, "a", "b") != derive(0, "ab")
    assert derive(0, "ab", "c") != derive(0, "a", "bc")


def test_streams_are_fixed_for_good():
    # A change here changes every trial: raise NUMERICS_VERSION with it.
    assert derive(0, "order", 0) == 5724104768301139219


def test_a_generator_leaves_the_global_one_alone():
    state = torch.get_rng_state()
    draws = torch.rand(3, generator=generator(0, "init", "x"))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(torch.rand(3, generator=generator(0, "init", "x")), draws)
    assert not torch.equal(torch.rand(3, generator=generator(1, "init", "x")), draws)
