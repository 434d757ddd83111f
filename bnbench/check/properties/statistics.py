"""Running statistics: what they are in effect after 1, 2 and 100 steps, and by which conventions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bnbench.check.blending import MEANS, RIGHT, VARIANCES, Blend, of_batch
from bnbench.check.conventions import CONVENTIONS
from bnbench.check.formulas import Formula, right_gradients, right_output
from bnbench.check.inputs import batch, per_channel, probe, small, upstream
from bnbench.check.judged import Judged, answer, backward, difference, forward, write
from bnbench.check.process import RefusedError
from bnbench.check.row import Row, Status
from bnbench.check.running import Observed, evaluated_by, observe
from bnbench.reference import BatchNormState, batchnorm_forward

_GROUP, _EVALUATION, _CONVENTIONS = "running statistics", "evaluation", "conventions"
_STEPS = 100
_WEIGHED = {"new": "new batch", "old": "old statistics"}


def running_statistics(judged: Judged) -> Iterator[Row]:
    """Everything that 100 steps with evaluations between them show."""
    seen = observe(judged, judged.axes, _STEPS)
    judged.weight = seen.mean.weight if seen.mean and seen.mean.kind != "cumulative" else None
    judged.blends = seen.mean is not None and seen.var is not None
    yield _later(judged, seen)
    yield _statistic_row(judged, seen, "running mean", 0)
    yield _statistic_row(judged, seen, "running variance", 1)
    yield _evaluation_row(judged, seen)
    yield _before_any_step(judged, seen)
    said = "statistics and output are the same after evaluating other inputs"
    changed = "statistics or output are others after evaluating"
    yield Row(_EVALUATION, "evaluating changes nothing", *_choose(seen.unchanged, said, changed))
    yield from _conventions(judged, seen)


def _choose(holds: bool, said: str, otherwise: str) -> tuple[Status, str]:
    return (Status.holds, said) if holds else (Status.differs, otherwise)


def _later(judged: Judged, seen: Observed) -> Row:
    name = "training after other batches"
    error = difference(seen.training, seen.training_again)
    if judged.close(seen.training_again, seen.training):
        return Row("training step", name, Status.holds, "the same batch has the same output again", error)
    explained = ""
    y = seen.evaluated[max(seen.evaluated)]
    x = batch(judged.axes, 1)
    if not isinstance(y, str) and max(seen.seen, default=0) in seen.seen:
        statistics = seen.seen[max(seen.seen)]
        if judged.close(seen.training_again, evaluated_by(x, statistics, judged.gamma, judged.beta, judged.eps), 0.3):
            explained = "as if it were normalized with the running statistics"
    return Row(
        "training step", name, Status.differs, f"the same batch gives an output {error:.3g} off", error, explained
    )


def _statistic_row(judged: Judged, seen: Observed, name: str, which: int) -> Row:
    blend, words = ((seen.mean, MEANS), (seen.var, VARIANCES))[which]
    if not seen.seen:
        names = ", ".join(seen.names) or "nothing"
        why = "evaluation does not use them" if seen.batch_in_evaluation else "evaluation does not show them"
        return Row(_GROUP, name, Status.differs, f"{why}, and of what it keeps ({names}) none is named mean and var")
    if blend is None:
        values = seen.seen[1][which]
        rest = f"after one step it is {_numbers(values)}"
        said = f"{rest}, which no average of the batches that was tried gives"
        return Row(_GROUP, name, Status.differs, said, smallest=smallest_statistics(judged, which))
    if blend.quantity not in RIGHT or blend.kind == "forgets":
        error = _error(judged, seen, blend, which)
        explained = f"as if it blended {words[blend.quantity]}"
        if blend.kind == "forgets":
            explained = f"each step starts anew: it is {blend.weight:g} times {words[blend.quantity]}"
        said = f"differs by {error:.3g} after one step" if np.isfinite(error) else "differs"
        smallest = smallest_statistics(judged, which)
        return Row(_GROUP, name, Status.differs, said, error, explained, smallest)
    error = _error(judged, seen, blend, which)
    steps = ", ".join(str(step) for step in (1, 2, _STEPS) if step in seen.seen)
    return Row(_GROUP, name, Status.holds, f"after {steps} steps: {_how(blend)}", error)


def _how(blend: Blend) -> str:
    return {
        "average": f"an average with weight {blend.weight:g} of the new batch",
        "debiased": f"an average with weight {blend.weight:g} of the new batch, corrected for its start",
        "cumulative": "the plain mean over all batches",
        "first": f"the first batch whole, then weight {blend.weight:g} of the new one",
    }[blend.kind]


def _error(judged: Judged, seen: Observed, blend: Blend, which: int) -> float:
    """The largest difference from what batch norm has; where something else is blended, after the first step."""
    right = blend.quantity if blend.quantity in RIGHT else ("mean", "N")[which]
    kind = "average" if blend.kind == "forgets" else blend.kind
    judge = replace(blend, quantity=right, kind=kind, weight=blend.weight or judged.weight or 0.1)
    batches = [of_batch(batch(judged.axes, step), judged.eps)[which][right] for step in range(1, max(seen.seen) + 1)]
    expected = judge.follow(np.array(batches))
    steps = [step for step in seen.seen if step > 0] if blend.quantity in RIGHT else [1]
    return max(difference(seen.seen[step][which], expected[step - 1]) for step in steps)


def smallest_statistics(judged: Judged, which: int) -> str:
    """The smallest batch after which evaluation shows a statistic that differs, in words."""
    weight = judged.weight or 0.1
    for x in small(judged.axes):
        features = x.shape[1]
        unit = np.ones(features)
        probes = np.broadcast_to(np.arange(2.0).reshape(2, *[1] * (x.ndim - 1)), (2, *x.shape[1:]))
        plan = [
            write(unit, 0 * unit),
            forward(x, training=True),
            forward(probes, training=False),
        ]
        try:
            _, _, given = judged.run(plan, judged.spec(features=features))
            y = answer(given)["y"]
        except RefusedError:
            continue
        rows = np.moveaxis(x, 1, -1).reshape(-1, features)
        state = BatchNormState(
            mode="train", eps=judged.eps, momentum=weight, running_mean=0 * unit, running_var=unit, ddof=0
        )
        batchnorm_forward(rows, unit, 0 * unit, state)
        expected = evaluated_by(probes, (state["running_mean"], state["running_var"]), unit, 0 * unit, judged.eps)
        if not judged.close(y, expected, 1e-3):
            at = f"after one step on {np.round(x, 4).tolist()}, evaluating {probes[:, 0].ravel()[[0, -1]].tolist()}"
            got, right = (np.round(v[:, 0].ravel()[[0, -1]], 4).tolist() for v in (y, expected))
            return f"{at} gives {got}; by weight {weight:g} of the batch's variance with divisor N: {right}"
    return ""


def _evaluation_row(judged: Judged, seen: Observed) -> Row:
    name = "evaluation output"
    x, y = probe(judged.axes, 1), seen.evaluated[3]
    if isinstance(y, str):
        return Row(_EVALUATION, name, Status.refused, y, required=True)
    if seen.batch_in_evaluation:
        over_batch = right_output(x, judged.gamma, judged.beta, judged.eps)
        explained = "as if it normalized with the statistics of the batch" if judged.close(y, over_batch) else ""
        example = "an example's output changes with the others of its batch"
        return Row(
            _EVALUATION,
            name,
            Status.differs,
            example,
            difference(y, over_batch),
            explained,
            smallest_evaluation(judged),
        )
    found = seen.by_evaluation and seen.mean is not None and seen.var is not None
    statistics = seen.seen.get(3) if found else seen.kept.get(3)
    if statistics is None:
        return Row(_EVALUATION, name, Status.differs, "no running statistics that were tried give it")
    with np.errstate(invalid="ignore"):
        expected = evaluated_by(x, statistics, judged.gamma, judged.beta, judged.eps)
    error = difference(y, expected)
    if judged.close(y, expected, max(judged.tolerance, 1e-8)):
        return Row(_EVALUATION, name, Status.holds, "normalized with the running statistics", error)
    affine, denominator = seen.form
    words = Formula(affine=affine, denominator=denominator).departures(x.ndim)
    return Row(
        _EVALUATION,
        name,
        Status.differs,
        f"differs by {error:.3g} from the running statistics' output",
        error,
        f"as if {' and '.join(words)}" if words and found else "",
    )


def smallest_evaluation(judged: Judged) -> str:
    """Two batches with one example in common whose outputs differ, in words."""
    places = (1,) * (judged.axes - 2)
    unit = np.ones(1)
    first, second = (np.array(v).reshape(3, 1, *places) for v in ([1.0, 2.0, 3.0], [1.0, 2.0, 9.0]))
    plan = [write(unit, 0 * unit)]
    plan += [forward(x, training=False) for x in (first, second)]
    try:
        a, b = (answer(one)["y"].ravel()[0] for one in judged.run(plan, judged.spec(features=1))[1:])
    except RefusedError:
        return ""
    return f"evaluating [1, 2, 3] gives {a:.4g} for the 1, evaluating [1, 2, 9] gives {b:.4g}"


def evaluation_gradient(judged: Judged) -> Iterator[Row]:
    """The gradient to the input in evaluation, where the statistics are constants."""
    name = "gradient in evaluation"
    x, dout = probe(judged.axes, 1), upstream(judged.axes)
    trained = forward(batch(judged.axes, 1), training=True)
    evaluated = forward(x, training=False)
    plan = [judged.written(), trained, evaluated, backward(x, dout, training=False)]
    _, _, y, given = judged.run(plan)
    dx = answer(given)["dx"]
    rows, outputs = (np.moveaxis(values, 1, -1).reshape(-1, x.shape[1]) for values in (x, answer(y)["y"]))
    slope = np.array([np.polyfit(rows[:, c], outputs[:, c], 1)[0] for c in range(x.shape[1])])
    expected = dout * per_channel(slope, x.ndim)
    error = difference(dx, expected)
    if judged.close(dx, expected, max(judged.tolerance, 1e-8)):
        yield Row(_EVALUATION, name, Status.holds, "the statistics are constants", error)
        return
    by_batch = right_gradients(x, dout, judged.gamma, judged.beta, judged.eps)[0]
    explained = "as if it went through the batch's statistics" if judged.close(dx, by_batch) else ""
    over = (0, *range(2, x.ndim))
    hat = (answer(y)["y"] - per_channel(judged.beta, x.ndim)) / per_channel(judged.gamma, x.ndim)
    shares = dout.mean(over, keepdims=True) + hat * (dout * hat).mean(over, keepdims=True)
    if judged.close(dx, expected - per_channel(slope, x.ndim) * shares, 1e-6):
        explained = "as if by the formula of training, with the shares of mean and variance"
    yield Row(_EVALUATION, name, Status.differs, f"differs by {error:.3g} from scale / deviation", error, explained)


def _before_any_step(judged: Judged, seen: Observed) -> Row:
    name = "evaluation before any step"
    y = seen.evaluated[0]
    if isinstance(y, str):
        return Row(_EVALUATION, name, Status.refused, y)
    if not np.isfinite(y).all():
        return Row(_EVALUATION, name, Status.differs, "NaN or infinite", smallest="any input, before any step")
    if seen.batch_in_evaluation:
        return Row(_EVALUATION, name, Status.differs, "with the batch's statistics, as later on")
    start = seen.seen.get(0)
    if start is None or not seen.by_evaluation:
        return Row(_EVALUATION, name, Status.holds, "finite")
    return Row(_EVALUATION, name, Status.holds, f"with mean {_numbers(start[0])} and variance {_numbers(start[1])}")


def _numbers(values: np.ndarray) -> str:
    """Channels' values in short: one number where they agree."""
    rounded = [float(f"{value:.4g}") + 0.0 for value in values]
    rounded = [0.0 if abs(value) < 1e-6 else value for value in rounded]
    return f"{rounded[0]:g}" if len(set(rounded)) == 1 else "[" + ", ".join(f"{value:g}" for value in rounded) + "]"


def _conventions(judged: Judged, seen: Observed) -> Iterator[Row]:
    like = CONVENTIONS.get(judged.like or "")
    if judged.formula is not None:
        place = judged.formula.denominator
        status = Status.convention if place == "inside" else Status.differs
        words = {
            "inside": "added to the variance, inside the root",
            "outside": "added to the deviation, outside the root",
            "none": "not added at all",
            "variance": "added to the variance, by which it divides without a root",
            "largest": "the least variance",
        }[place]
        said = f"no eps: {words}" if place == "none" else f"{judged.eps:g}, {words}"
        yield Row(_CONVENTIONS, "eps", status, said)
    yield from _momentum(judged, seen.mean)
    if seen.var is not None and seen.var.quantity in ("N", "N - 1"):
        judged.divisors[judged.axes] = seen.var.quantity
        wanted = like.divisor(judged.axes) if like else None
        yield divisor_row(seen.var.quantity, judged.axes, wanted, like.layer if like else "")
    start = seen.seen.get(0) if seen.by_evaluation else seen.kept.get(0)
    if start is not None:
        means, variances = map(_numbers, start)
        said = f"mean {means}, variance {variances}"
        if (means, variances) == ("5", "4"):
            said += ": those of the batch that it was initialized with"
        differs = like is not None and (means, variances) != tuple(f"{value:g}" for value in like.start)
        rest = f"; {like.layer} starts at {like.start[0]:g} and {like.start[1]:g}" if like and differs else ""
        yield Row(_CONVENTIONS, "initial statistics", Status.differs if differs else Status.convention, said + rest)
    kinds = {blend.kind for blend in (seen.mean, seen.var) if blend is not None}
    if kinds:
        corrections = {
            "average": "none",
            "debiased": "divided by 1 - (1 - weight)^t, as Adam does",
            "cumulative": "none needed: all batches weigh the same",
            "first": "the first batch is taken whole",
            "forgets": "none: what came before is lost",
        }
        said = "; ".join(corrections[kind] for kind in sorted(kinds))
        if seen.var and seen.var.kind == "debiased" and seen.var.start.any():
            said += f"; the variance hidden behind it starts at {_numbers(seen.var.start)}, which is not corrected for"
            yield Row(_CONVENTIONS, "debiasing", Status.differs, said)
        else:
            differs = like is not None and kinds != {like.kind}
            yield Row(_CONVENTIONS, "debiasing", Status.differs if differs else Status.convention, said)


def divisor_row(divisor: str, axes: int, wanted: str | None, layer: str) -> Row:
    """The divisor that the running variance has for inputs of so many axes."""
    name = f"divisor of the running variance, {axes}-D"
    if wanted is not None and wanted != divisor:
        return Row(_CONVENTIONS, name, Status.differs, f"{divisor}; {layer} has {wanted}")
    return Row(_CONVENTIONS, name, Status.convention, divisor)


def _momentum(judged: Judged, blend: Blend | None) -> Iterator[Row]:
    """Which weight the new batch has, and whether the setting says the weight of the new or of the old."""
    if blend is None or blend.quantity != "mean":
        return
    if blend.kind == "cumulative":
        yield Row(_CONVENTIONS, "momentum", Status.convention, "none: all batches weigh the same")
        return
    said, status = f"the new batch weighs {blend.weight:g}", Status.convention
    told = [(name, value) for name, value in judged.subject.settings.items() if "eps" not in name]
    if told:
        name, value = told[0]
        is_new, is_old = (abs(blend.weight - weight) < 1e-3 for weight in (value, 1 - value))
        weighs = {(True, False): "new", (False, True): "old"}.get((is_new, is_old))
        like = CONVENTIONS.get(judged.like or "")
        if weighs is not None:
            said += f"; {name}={value:g} is the weight of the {_WEIGHED[weighs]}"
        elif is_new:
            said += f"; {name}={value:g} does not tell of which: try another"
        else:
            said += f"; {name}={value:g} is the weight of neither the new batch nor the old statistics"
        if like is not None and weighs != like.momentum and not is_new:
            said, status = f"{said}; for {like.layer} it is that of the {_WEIGHED[like.momentum]}", Status.differs
    yield Row(_CONVENTIONS, "momentum", status, said)
