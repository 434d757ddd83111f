"""Torch's own batch norm and bnbench's come out clean, with their conventions named; so do tutorials' where right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bnbench.check.row import Status

if TYPE_CHECKING:
    from conftest import Checked


@pytest.mark.parametrize("name", ["torch.nn:BatchNorm1d", "torch.nn:BatchNorm2d"])
def test_torch_s_own_batch_norm_is_clean_and_its_conventions_are_named(name: str, checked: Checked) -> None:
    report = checked(name, like="torch")
    assert report.faults == []
    axes = 4 if "2d" in name else 2
    said = {row.name: row.said for row in report.rows if row.status == Status.convention}
    assert said["eps"] == "1e-05, added to the variance, inside the root"
    assert said["momentum"] == "the new batch weighs 0.1; momentum=0.1 is the weight of the new batch"
    assert said[f"divisor of the running variance, {axes}-D"] == "N - 1"
    assert said["initial statistics"] == "mean 0, variance 1"
    assert said["debiasing"] == "none"
    refused = {row.name for row in report.rows if row.status == Status.refused}
    assert "one value a channel" in refused
    assert ("2-D" in refused) == (axes == 4)


def test_arguments_reach_the_constructor_and_their_conventions_are_found(checked: Checked) -> None:
    report = checked("torch.nn:BatchNorm1d", momentum=None, eps=1e-3)
    assert report.faults == []
    assert report.named("eps").said.startswith("0.001,")
    assert report.named("momentum").said == "none: all batches weigh the same"
    assert report.named("running mean").said.endswith("the plain mean over all batches")


def test_statistics_that_are_not_kept_are_said_so(checked: Checked) -> None:
    report = checked("torch.nn:BatchNorm1d", track_running_stats=False)
    assert "as if it normalized with the statistics of the batch" in report.named("evaluation output").words
    assert "evaluation does not use them" in report.named("running mean").words


@pytest.mark.parametrize("layer", ["bnbench.norms.batch:BatchNorm", "bnbench.norms.manual:ManualBatchNorm"])
@pytest.mark.parametrize(("preset", "divisor"), [("torch", "N - 1"), ("keras", "N")])
def test_bnbench_s_own_layers_are_clean(layer: str, preset: str, divisor: str, checked: Checked) -> None:
    report = checked(layer, unbiased=preset == "torch", momentum=0.1 if preset == "torch" else 0.01, constant=True)
    assert report.faults == []
    for axes in (2, 4):
        assert report.named(f"divisor of the running variance, {axes}-D").said == divisor
    assert report.named("one value a channel").said == "the output is the shift, whatever the input"


def test_the_numpy_tutorial_is_right_and_its_variance_starts_at_zero(checked: Checked) -> None:
    report = checked("tutorial_norms:numpy_right", backward="tutorial_norms:numpy_backward", momentum=0.9)
    main = ("training output", "running mean", "running variance", "evaluation output", "saved and loaded")
    assert {report.named(name).status for name in main} == {Status.holds}
    # Its one gradient is that of training, and maps are taken for features by NumPy's broadcasting.
    assert "as if by the formula of training" in report.named("gradient in evaluation").words
    assert report.named("4-D").status == Status.differs
    assert report.framework == "function"
    assert report.named("gradient to input").status == Status.holds
    assert report.named("momentum").said.endswith("momentum=0.9 is the weight of the old statistics")
    assert report.named("initial statistics").said == "mean 0, variance 0"


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("numpy_misspelt", "running mean", "as if it blended nothing: it stays as it was"),
        ("numpy_no_root", "training output", "it divides by the variance, without the root"),
        ("LowLevelNeverUpdated", "running variance", "as if it blended nothing: it stays as it was"),
        ("LowLevelMeanTwice", "running variance", "as if it blended the batch's mean in place of its variance"),
        ("LayerAlwaysTraining", "evaluation output", "as if it normalized with the statistics of the batch"),
        ("LayerNeverTraining", "training output", "with the statistics it keeps, not with the batch's"),
    ],
)
def test_what_is_wrong_with_a_tutorial_s_version_is_named(name: str, row: str, said: str, checked: Checked) -> None:
    report = checked(f"tutorial_norms:{name}")
    assert row in [fault.name for fault in report.faults]
    assert said in report.named(row).words


def test_a_reversed_decay_of_a_layer_without_such_a_setting_is_seen_by_its_weight(checked: Checked) -> None:
    assert checked("tutorial_norms:LowLevelDecayReversed").named("momentum").said == "the new batch weighs 0.99"
    assert checked("tutorial_norms:LowLevel").named("momentum").said == "the new batch weighs 0.01"
