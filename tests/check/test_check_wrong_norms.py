"""Ten wrong batch norms, each with one planted defect, and those that are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bnbench.check.row import Status

if TYPE_CHECKING:
    from conftest import Checked

# The class, the row that is at fault, what it says, and the rows that are at fault because of it.
_WRONG = [
    ("EpsOutside", "training output", "eps is added outside the root", {"evaluation output", "eps"}),
    ("DivisorN", "divisor of the running variance, 2-D", "N; torch.nn.BatchNorm has N - 1", {"divisor of the "}),
    ("MomentumReversed", "momentum", "momentum=0.1 is the weight of the old statistics; for torch.nn.BatchNorm", set()),
    ("ForgetsMean", "gradient to input", "the share that goes through the mean is forgotten", set()),
    ("ForgetsVariance", "gradient to input", "the share that goes through the variance is forgotten", set()),
    (
        "EvaluationUsesBatch",
        "evaluation output",
        "as if it normalized with the statistics of the batch",
        {"evaluation before any step", "gradient in evaluation"},
    ),
    (
        "GammaAfterBeta",
        "training output",
        "the shift is added before the scale multiplies: gamma * (x_hat + beta)",
        {"evaluation output"},
    ),
    ("VarianceOfNormalized", "running variance", "as if it blended the variance of the normalized batch", set()),
    ("ShiftWithoutScale", "training output", "as if the scale has no effect", {"evaluation output"}),
    ("StateNotSaved", "saved and loaded", "as if running statistics started anew", set()),
]


@pytest.mark.parametrize(("name", "row", "said", "others"), _WRONG, ids=[name for name, *_ in _WRONG])
def test_a_planted_defect_is_named(name: str, row: str, said: str, others: set[str], checked: Checked) -> None:
    report = checked(f"wrong_norms:{name}", like="torch")
    fault = report.named(row)
    assert fault.status == Status.differs
    assert said in fault.words
    beside = [one.name for one in report.faults if one.name != row and not one.name.startswith(tuple(others or {"-"}))]
    assert beside == []


def test_statistics_over_the_wrong_axes_are_named_by_their_axes(checked: Checked) -> None:
    report = checked("wrong_norms:WrongAxes", like="torch")
    assert "over axes (1,) of (N, C), as layer norm" in report.named("training output").explained
    assert "over axes (0,) of (N, C, H, W), so each position by itself" in report.named("4-D").explained


@pytest.mark.parametrize("name", ["EpsOutside", "ForgetsMean", "EvaluationUsesBatch", "VarianceOfNormalized"])
def test_the_smallest_input_that_shows_a_defect_is_said(name: str, checked: Checked) -> None:
    row = next(row for wrong, row, *_ in _WRONG if wrong == name)
    shown = {
        "EpsOutside": "x = [[1.0], [1.01]] with scale [2.0] and shift [1.0] gives [[-0.996], [2.996]], should be ",
        "ForgetsMean": "x = [[1.0], [2.0]] with scale [2.0] and a gradient of 1 at the first output gives ",
        "EvaluationUsesBatch": "evaluating [1, 2, 3] gives -1.225 for the 1, evaluating [1, 2, 9] gives -0.8429",
        "VarianceOfNormalized": "after one step on [[1.0], [2.0]], evaluating [0.0, 1.0] gives ",
    }[name]
    assert checked(f"wrong_norms:{name}", like="torch").named(row).smallest.startswith(shown)


def test_a_convention_is_no_fault_until_another_one_is_asked_for(checked: Checked) -> None:
    assert checked("wrong_norms:DivisorN").faults == []
    row = checked("wrong_norms:DivisorN").named("divisor of the running variance, 2-D")
    assert (row.status, row.said) == (Status.convention, "N")


def test_what_is_right_is_found_right(checked: Checked) -> None:
    report = checked("wrong_norms:Right", like="torch")
    assert report.faults == []
    assert report.named("gradient to input").error < 1e-12
    assert {report.named(name).status for name in ("2-D", "3-D", "4-D", "5-D", "channels last")} == {Status.holds}
