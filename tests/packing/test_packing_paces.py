"""Measured paces: kept by machine and shape, used by partition and plan, without effect on what is trained."""

import pytest
from omegaconf import OmegaConf

from bnbench.config import Trial, schema
from bnbench.packing.paces import best_width, load_paces, pack_step_seconds, save_paces, shape_of
from bnbench.packing.partition import partition


def trial(*overrides: str) -> Trial:
    config = OmegaConf.to_object(
        OmegaConf.merge(schema(), OmegaConf.from_dotlist(["training.engine=torch", *overrides]))
    )
    return Trial.from_config(config, train_size=1000, data_checksum="")


def test_widths_are_kept_by_machine_and_added_to(tmp_path):
    assert load_paces(tmp_path, "one") == {}
    save_paces(tmp_path / "cache", "one", {"a": {4: 1.5, 8: 2.0}})
    save_paces(tmp_path / "cache", "two", {"a": {8: 2.0}})
    save_paces(tmp_path / "cache", "one", {"b": {16: 3.0}})
    assert load_paces(tmp_path / "cache", "one") == {"a": {4: 1.5, 8: 2.0}, "b": {16: 3.0}}
    assert load_paces(tmp_path / "cache", "two") == {"a": {8: 2.0}}
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["paces.json"]


def test_a_damaged_file_is_as_good_as_none(tmp_path):
    (tmp_path / "paces.json").write_text('{"one": {"a"')
    assert load_paces(tmp_path, "one") == {}
    save_paces(tmp_path, "one", {"a": {4: 1.5, 8: 2.0}})
    assert load_paces(tmp_path, "one") == {"a": {4: 1.5, 8: 2.0}}


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        ({4: 1.0, 8: 1.0, 16: 1.0, 32: 1.0}, 32),  # wider costs nothing
        ({4: 1.0, 8: 2.0, 16: 4.0, 32: 8.0}, 4),  # nothing is gained
        ({4: 1.0, 8: 1.5, 16: 3.5, 32: 6.5}, 8),
        ({4: 1.0, 8: 1.99, 16: 3.99, 32: 7.98}, 4),  # as good as nothing
    ],
)
def test_the_fastest_rate_wins_and_ties_go_to_the_narrower(seconds, best):
    assert best_width(seconds) == best


def test_a_pack_s_step_is_told_from_the_nearest_wider_one_that_was_measured():
    pace = {4: 1.0, 8: 1.6, 16: 3.0}
    assert [pack_step_seconds(pace, slots) for slots in (1, 4, 6, 8, 12)] == pytest.approx([1.0, 1.0, 1.2, 1.6, 2.25])
    assert pack_step_seconds(pace, 32) == pytest.approx(6.0)


def test_trials_share_a_shape_exactly_if_their_steps_do_the_same_arithmetic():
    base = trial()
    for same in ("seed=1", "optimizer.lr=0.5", "training.steps=7", "schedule.name=cosine", "training.eval_every=3"):
        assert shape_of(trial(same)) == shape_of(base), same
    for other in (
        "training.batch_size=8",
        "model.width=7",
        "norm.name=batch",
        "optimizer.name=adam",
        "training.precision=float64",
        "optimizer.weight_decay=0.1",
    ):
        assert shape_of(trial(other)) != shape_of(base), other


def test_the_partition_takes_a_measured_width_unless_one_is_given():
    trials = [trial(f"seed={seed}") for seed in range(12)]
    assert [len(pack) for pack in partition(trials, {shape_of(trials[0]): 4})] == [4, 4, 4]
    assert [len(pack) for pack in partition(trials, {"another": 4})] == [12]
    given = [trial(f"seed={seed}", "training.max_pack=6") for seed in range(12)]
    assert [len(pack) for pack in partition(given, {shape_of(given[0]): 4})] == [6, 6]
