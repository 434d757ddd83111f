"""Whether a sweep measures pack widths, for which shapes, and what it does with them."""

from dataclasses import replace

import pytest

from bnbench.packing.memory import trial_bytes
from bnbench.packing.paces import save_paces, shape_of
from bnbench.sweep.planning.plan import Plan, Planned
from bnbench.sweep.running import pack_widths as calibrate
from bnbench.sweep.running.pack_widths import calibrated


def plan_of(make_trial, *overrides: dict, seeds: int = 8) -> Plan:
    trials = [
        make_trial({"training.engine": "torch", **own, "seed": seed}) for own in overrides for seed in range(seeds)
    ]
    return Plan([Planned(t, [], {}, None) for t in trials], 0, frozenset(), []).repacked({})


@pytest.fixture
def measured(monkeypatch):
    """Measures nothing: notes the batch size of the trial that would have been, and says 4."""
    seen: list[int] = []

    class Here:
        def __init__(self, **_):
            pass

        def __call__(self, calls):
            return [function(*arguments) for function, arguments, _ in calls]

    def measure(trial, _):
        seen.append(trial.training.batch_size)
        return {4: 1.0, 8: 2.0}

    monkeypatch.setattr(calibrate, "Parallel", Here)
    monkeypatch.setattr(calibrate, "_measure", measure)
    return seen


LONG = {"training.steps": 1_000_000}


def test_a_short_sweep_measures_nothing(make_trial, measured, tmp_path):
    plan = plan_of(make_trial, {"training.steps": 100})
    assert calibrated(plan, tmp_path, 1, print) == plan
    assert not measured
    assert not (tmp_path / "cache").exists()


def test_a_long_sweep_measures_each_shape_once_and_later_sweeps_use_it(make_trial, measured, tmp_path):
    said: list[str] = []
    plan = plan_of(make_trial, LONG | {"training.batch_size": 8}, LONG | {"training.batch_size": 16})
    assert [len(pack) for pack in plan.packs] == [8, 8]
    packed = calibrated(plan, tmp_path, 2, said.append)
    assert measured == [16, 8], "the one with most to train first"
    assert [len(pack) for pack in packed.packs] == [4] * 4
    assert packed.planned == plan.planned
    assert said == ["measuring how many trials to train together, for 2 shapes"]
    short = plan_of(make_trial, {"training.steps": 10, "training.batch_size": 8})
    assert [len(pack) for pack in calibrated(short, tmp_path, 2, said.append).packs] == [4, 4]
    assert measured == [16, 8]


def test_a_width_that_is_given_or_cannot_be_reached_is_not_measured(make_trial, measured, tmp_path):
    given = plan_of(make_trial, LONG | {"training.max_pack": 2})
    few = plan_of(make_trial, LONG, seeds=3)
    assert calibrated(given, tmp_path, 2, print) == given
    assert calibrated(few, tmp_path, 2, print) == few
    assert not measured


def test_the_time_for_measuring_is_bounded_by_a_share_of_the_sweep_s(make_trial, measured, tmp_path):
    plan = plan_of(make_trial, *({"training.batch_size": n, "training.steps": 100_000} for n in (4, 8, 16, 32)))
    affordable = int((0.05 * plan.seconds / 2 - 10) * 2 / calibrate._SECONDS_A_SHAPE)
    assert 0 < affordable < 4, "the plan is made so"
    calibrated(plan, tmp_path, 2, print)
    assert measured == [32, 16, 8, 4][:affordable]


def test_packs_of_the_kernels_have_one_width_and_nothing_is_measured(make_trial, measured, tmp_path):
    plan = plan_of(make_trial, LONG | {"training.engine": "lanes"}, seeds=20)
    assert [len(pack) for pack in calibrated(plan, tmp_path, 2, print).packs] == [10, 10]
    assert not measured


def test_widths_of_another_machine_are_not_used(make_trial, measured, tmp_path):
    plan = plan_of(make_trial, {"training.steps": 10})
    save_paces(tmp_path / "cache", "another machine", {shape_of(plan.packs[0][0].trial): {4: 1.0}})
    assert calibrated(plan, tmp_path, 1, print) == plan


def test_there_are_packs_for_all_workers(make_trial, measured, tmp_path):
    plan = plan_of(make_trial, {"training.steps": 10}, seeds=20)
    assert [len(pack) for pack in plan.packs] == [20]
    assert [len(pack) for pack in calibrated(plan, tmp_path, 2, print).packs] == [10, 10]


def test_finished_trials_stay_out_of_the_packs(make_trial, measured, tmp_path):
    plan = plan_of(make_trial, LONG)
    done = frozenset(p.trial.key for p in plan.planned[:3])
    packed = calibrated(replace(plan, finished=done).repacked({}), tmp_path, 2, print)
    assert sorted(p.trial.key for pack in packed.packs for p in pack) == sorted(
        p.trial.key for p in plan.planned if p.trial.key not in done
    )


@pytest.mark.parametrize(("trials", "widths"), [(9.5, [4, 8]), (1000, [4, 8, 16, 32, 64]), (1, [4])])
def test_only_packs_that_memory_holds_are_measured(trials, widths, make_trial, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("bnbench.sweep.running.pack_widths.load_images", lambda *_: None)
    monkeypatch.setattr("bnbench.training.pace.measure_pace", lambda trial, images, asked: seen.extend(asked))
    limit = trials * trial_bytes(make_trial({})) / 2**30
    calibrate._measure(make_trial({"training.max_memory": limit}), tmp_path)
    assert seen == widths


def test_a_cluster_s_widths_are_measured_by_no_more_processes_than_this_machine_has_cores(
    make_trial, measured, tmp_path, monkeypatch
):
    started: list[int] = []

    class Counted(calibrate.Parallel):
        def __init__(self, n_jobs):
            started.append(n_jobs)

    monkeypatch.setattr(calibrate, "Parallel", Counted)
    monkeypatch.setattr(calibrate, "cpu_count", lambda: 3)
    calibrated(plan_of(make_trial, {"training.steps": 100_000_000}), tmp_path, 64, print)
    assert started == [3]
    assert measured
