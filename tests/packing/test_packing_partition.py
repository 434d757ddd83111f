"""Which trials train together, judged by the laws of a partition."""

import math
from collections import Counter
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from bnbench.config import Trial, schema
from bnbench.packing.memory import trial_bytes
from bnbench.packing.paces import shape_of
from bnbench.packing.packed_trials import PackedTrials
from bnbench.packing.partition import partition


@cache
def trial(seed: int, lr: float, *overrides: str) -> Trial:
    """A trial of torch's packs, unless the overrides say otherwise."""
    given = OmegaConf.from_dotlist([f"seed={seed}", f"optimizer.lr={lr}", "training.engine=torch", *overrides])
    config = OmegaConf.to_object(OmegaConf.merge(schema(), given))
    return Trial.from_config(config, train_size=1000, data_checksum="")


ARMS = [
    (),
    ("norm.name=batch",),
    ("norm.name=batch", "norm.placement=after"),
    ("norm.name=batch", "norm.momentum=0.5"),  # may share a pack with the second
    ("training.batch_size=8",),
    ("model.name=cnn", "model.width=1"),
    ("model.name=cnn", "model.width=4"),
]
lists = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from([0.1, 0.2]), st.sampled_from(ARMS)),
    max_size=60,
    unique=True,
)


@settings(max_examples=30, deadline=None)
@given(lists)
def test_packs_are_a_partition_into_agreeing_trials_that_could_not_be_coarser(chosen):
    trials = [trial(seed, lr, *arm) for seed, lr, arm in chosen]
    packs = partition(trials)
    assert Counter(id(t) for pack in packs for t in pack) == Counter(map(id, trials)), "each in exactly one"
    assert all(len({t.signature for t in pack}) == 1 for pack in packs), "a pack agrees"
    order = {id(t): i for i, t in enumerate(trials)}
    assert all([order[id(t)] for t in pack] == sorted(order[id(t)] for t in pack) for pack in packs), "order kept"
    by_signature: dict[object, list[int]] = {}
    for pack in packs:
        by_signature.setdefault(pack[0].signature, []).append(len(pack))
    for signature, lengths in by_signature.items():
        limit = width_limit(dict(signature))
        assert max(lengths) <= limit
        slots = [math.ceil(length / alignment(dict(signature))) for length in lengths]
        assert max(slots) - min(slots) <= 1, "as equal as can be"
        assert sum(slots) == math.ceil(sum(lengths) / alignment(dict(signature))), "no slot more than needed"
        assert len(lengths) == 1 or sum(sorted(lengths)[:2]) > limit, "no two would fit into one"


def width_limit(signature: dict[str, object]) -> int:
    return 32 if signature["model"] == "fc" else {1: 16, 4: 8}[signature["model.width"]]


def alignment(signature: dict[str, object]) -> int:
    return 1 if signature["model"] == "fc" else {1: 16, 4: 4}[signature["model.width"]]


def test_max_pack_bounds_a_pack():
    packs = partition([trial(seed, 0.1, "training.max_pack=3") for seed in range(10)])
    assert sorted(map(len, packs)) == [2, 2, 3, 3]


def test_no_trials_make_no_packs():
    assert partition([]) == []


def test_max_memory_bounds_a_pack_and_never_refuses_one_trial():
    one = trial(0, 0.1, "training.batch_size=512")
    trials = [
        trial(seed, 0.1, "training.batch_size=512", f"training.max_memory={3.5 * trial_bytes(one) / 2**30}")
        for seed in range(9)
    ]
    assert [len(pack) for pack in partition(trials)] == [3, 3, 3]
    tiny = [trial(seed, 0.1, "training.max_memory=1e-6") for seed in range(3)]
    assert [len(pack) for pack in partition(tiny)] == [1, 1, 1]


def test_a_trial_takes_more_memory_with_what_needs_it():
    base = trial_bytes(trial(0, 0.1))
    for more in ("training.batch_size=1000", "model.width=500", "training.precision=float64", "optimizer.name=adam"):
        assert trial_bytes(trial(0, 0.1, more)) > base, more


@pytest.mark.parametrize(
    ("count", "workers", "sizes"),
    [(30, 1, [30]), (30, 2, [15, 15]), (30, 4, [8, 8, 7, 7]), (7, 2, [7]), (9, 2, [5, 4]), (40, 2, [20, 20])],
)
def test_workers_share_what_one_pack_would_hold_if_their_parts_are_worth_it(count, workers, sizes):
    packs = partition([trial(seed, 0.1) for seed in range(count)], workers=workers)
    assert sorted(map(len, packs), reverse=True) == sizes


def test_a_pack_of_trials_that_do_not_agree_in_what_packs_share_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must agree on Trial\.signature"):
        PackedTrials([trial(0, 0.1, "training.batch_size=8"), trial(0, 0.1, "training.batch_size=4")])


def test_slots_beyond_the_trials_train_the_last_one_again() -> None:
    trials = PackedTrials([trial(seed, 0.1) for seed in range(3)])
    assert [t.seed for t in trials.padded(5).by_slot] == [0, 1, 2, 2, 2]
    assert [t.seed for t in trials.select([2, 0]).by_slot] == [2, 0]


@pytest.mark.parametrize(("trials", "workers", "sizes"), [(16, 2, [16]), (20, 4, [10, 10]), (52, 1, [13] * 4)])
def test_packs_of_the_kernels_fill_their_vectors_however_many_workers_there_are(trials, workers, sizes):
    of_lanes = [trial(seed, 0.1, "training.engine=auto") for seed in range(trials)]
    assert [len(pack) for pack in partition(of_lanes, {shape_of(of_lanes[0]): 64}, workers)] == sizes


def test_packs_of_the_kernels_are_no_wider_than_asked_for():
    given = [trial(seed, 0.1, "training.engine=lanes", "training.max_pack=6") for seed in range(12)]
    assert [len(pack) for pack in partition(given)] == [6, 6]
