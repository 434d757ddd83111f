"""Measured pack widths: kept by machine and shape, used by the partition, without effect on what is trained."""

from omegaconf import OmegaConf

from bnbench.config import Trial, schema
from bnbench.packing.partition import partition
from bnbench.packing.widths import load_widths, save_widths, shape_of


def trial(*overrides: str) -> Trial:
    config = OmegaConf.to_object(OmegaConf.merge(schema(), OmegaConf.from_dotlist([*overrides])))
    return Trial.from_config(config, train_size=1000, data_checksum="")


def test_widths_are_kept_by_machine_and_added_to(tmp_path):
    assert load_widths(tmp_path, "one") == {}
    save_widths(tmp_path / "cache", "one", {"a": 4})
    save_widths(tmp_path / "cache", "two", {"a": 8})
    save_widths(tmp_path / "cache", "one", {"b": 16})
    assert load_widths(tmp_path / "cache", "one") == {"a": 4, "b": 16}
    assert load_widths(tmp_path / "cache", "two") == {"a": 8}
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["pack_widths.json"]


def test_a_damaged_file_is_as_good_as_none(tmp_path):
    (tmp_path / "pack_widths.json").write_text('{"one": {"a"')
    assert load_widths(tmp_path, "one") == {}
    save_widths(tmp_path, "one", {"a": 4})
    assert load_widths(tmp_path, "one") == {"a": 4}


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
