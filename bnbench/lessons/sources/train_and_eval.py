# %% [markdown] tags=["title"] seconds=40
# # Training and evaluation: the running statistics, and forgetting to update them
#
# In training, batch norm normalizes with the batch's mean and variance. When the network is evaluated it uses running
# averages of them, which somebody must have updated. In TensorFlow 1 that took a line of its own, and code without the line
# still trained.
# %% [markdown] tags=["question"]
# A network with batch norm has trained 300 steps, but its running mean and variance still are 0 and 1. What does it get right
# on the training batch, and on the test images?
#
# And if they were updated: how long do they take to be of use, with momentum 0.1 and with 0.01?
# %%
import matplotlib.ticker
from IPython.display import Markdown

import bnbench
from bnbench.lessons import Slide, by_sign, colour, in_points

SEEDS, STEPS = 5, 300
sweep = bnbench.run(
    # Three ways to keep the running statistics; training itself is the same in all of them.
    '+hydra.sweeper.arms={keep: [["norm.momentum=0.1"], ["norm.momentum=0.01"], ["norm.inference=initial"]]}',
    "model=fc",
    "norm=batch",
    "sweep.compare=[norm.momentum,norm.inference]",
    f"seed=range({SEEDS})",
    f"training.steps={STEPS}",
    "training.eval_examples=500",
    "training.measures=[last_batch]",
    "resume=false",  # there and then, though the lesson was run before
)
KEPT = {
    (0.1, "running"): "updated, momentum 0.1",
    (0.01, "running"): "updated, momentum 0.01",
    (0.1, "initial"): "never updated",
}
COLOURS = dict(zip(KEPT.values(), (1, 2, 3), strict=True))
kept = ["norm.momentum", "norm.inference"]
trials = sweep.trials.assign(kept=[KEPT[tuple(pair)] for pair in sweep.trials[kept].to_numpy()])
curves = sweep.curves.merge(trials[["key", "kept"]], on="key")
# %% [markdown]
# ## What is seen while it trains
#
# `train/acc` is the accuracy on the training batches in training mode, `last_batch/acc` that on the very same images in
# inference mode, `val/acc` that on validation images in inference mode.
# %%
means = curves.groupby(["kept", "step"])[["train/acc", "last_batch/acc", "val/acc", "val/acc_batch"]].mean()
last = means.loc[(slice(None), STEPS), :].droplevel("step").loc[[*KEPT.values()]]
print((100 * last).round(1).to_string())
weights = trials.pivot_table(index="seed", columns="kept", values="test/acc_batch")
same = weights.nunique(axis=1).eq(1).all()
print(f"\nwith the evaluated batch's own statistics all three have the same test accuracy: {'yes' if same else 'no'}")
# %%
slide = Slide("Validation accuracy in inference mode, mean of 5 seeds", x="step", y="accuracy, %")
(axes,) = slide.axes
for name in KEPT.values():
    curve = means.loc[name]["val/acc"]
    axes.plot(curve.index, 100 * curve, color=colour(COLOURS[name]), label=name)
batch = means.loc[KEPT[0.1, "running"]]["val/acc_batch"].dropna()
axes.plot(batch.index, 100 * batch, "o", color=colour(0), label="the batch's own statistics")
axes.set_xscale("symlog", linthresh=1)
axes.set_xticks([0, 1, 3, 10, 30, 100, STEPS])
axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
axes.set_ylim(0, 100)
slide.legend(loc="lower right")
slide.alt = "; ".join(
    f"{name}: "
    + ", ".join(
        f"{100 * curve:.0f} % at step {step}"
        for step, curve in means.loc[name]["val/acc"].items()
        if step in (0, 8, 18, 48, 142, STEPS)
    )
    for name in KEPT.values()
)
slide
# %% [markdown]
# ## The same weights, tested in four ways
#
# Each trained network is tested with its running statistics, with those of the batch that is tested, with precise ones
# (those of all training images under the final weights), and with those of the start; then one image at a time, where the
# batch's own statistics are of a single value.
# %%
ways = {"running": "running", "batch": "the batch's", "precise": "precise", "initial": "never updated"}
tested = trials[trials["kept"] == KEPT[0.1, "running"]].set_index("seed")
in_batches = {way: tested[f"test/acc_{way}"] for way in ways}
alone = {way: tested[f"test/acc_one_by_one_{way}"] for way in ("running", "batch")}
for way, name in ways.items():
    line = f"{name:<14} {100 * in_batches[way].mean():5.1f} %"
    print(line + (f", one image at a time {100 * alone[way].mean():5.1f} %" if way in alone else ""))

slide = Slide("One training, four ways to test it", x="statistics used for testing", y="test accuracy, %")
for place, way in enumerate(ways):
    mean = 100 * in_batches[way].mean()
    slide.axes[0].bar(place, mean, 0.6, color=colour(3 if way == "initial" else 1))
    slide.axes[0].plot([place] * len(tested), 100 * in_batches[way], "o", color=colour(0), alpha=0.6)
    slide.axes[0].annotate(f"{mean:.1f}", (place + 0.34, mean), fontsize=15)
slide.axes[0].set_xticks(range(len(ways)), [*ways.values()])
slide.axes[0].set_ylim(0, 105)
slide.alt = "; ".join(f"{name}: {100 * in_batches[way].mean():.1f} %" for way, name in ways.items())
slide
# %% [markdown]
# ## How surely
# %%
levels = {name: f"norm.momentum={momentum:g}, norm.inference={way}" for (momentum, way), name in KEPT.items()}
updated, slow, forgotten = levels.values()
[cost] = sweep.contrast(updated, forgotten)
[momentum] = sweep.contrast(updated, slow)
for label, contrast in (("updated - never updated", cost), ("momentum 0.1 - momentum 0.01", momentum)):
    print(f"{label}: {in_points(contrast.interval)}")
# %% tags=["answer"]
fault = last.loc["never updated"]


def first_step(name, share=0.9):
    """The first evaluation at which inference mode has this share of what the batch's own statistics have at the end."""
    curve = means.loc[name]["val/acc"]
    reached = curve[curve >= share * batch.iloc[-1]]
    return f"step {reached.index[0]}" if len(reached) else "no step at all"


short = tested["test/acc_running"].mean() - alone["batch"].mean()
read = by_sign(
    momentum.interval,
    above="momentum 0.1 is ahead",
    below="momentum 0.01 is ahead",
    unclear="the two cannot be told apart",
)
Markdown(
    f"""Never updated, it gets **{fault["train/acc"]:.0%}** of the training images right in training mode, but
{fault["last_batch/acc"]:.0%} of its last training batch in inference mode, and **{
        trials[trials["kept"] == "never updated"]["test/acc"].mean():.0%}** of the
test images. The weights are as good as the others': with the batch's own statistics they get
{in_batches["batch"].mean():.1%}. The fault costs {
        by_sign(cost.interval, above="accuracy", below="nothing: it gains", unclear="nothing that can be told")
    }:
updated - never updated is {100 * cost.interval.mean:+.1f} pp. {
        "A gap between training mode and inference mode on the same images is how one finds it: overfitting does not show there."
        if fault["train/acc"] - fault["last_batch/acc"] > 0.05
        else ""
    }

Updated, inference mode has 90 % of the accuracy that the batch's own statistics give at the end by {
        first_step(KEPT[0.1, "running"])
    } with momentum 0.1, and by
{first_step(KEPT[0.01, "running"])} with 0.01, which TensorFlow and Keras call 0.99. After {STEPS} steps {read}
({
        100
        * momentum.interval.mean:+.1f} pp). In a short training the averages, not the weights, may be what an evaluation sees.

One image at a time, the batch's own statistics give {alone["batch"].mean():.0%}, where the running ones give
{alone["running"].mean():.0%}{
        ": a single value is its own mean, so it is normalized to 0 whatever the image is" if short > 0.3 else ""
    }."""
)
# %% [markdown] tags=["sources"]
# ## Sources
#
# - Ioffe & Szegedy (2015), [arXiv:1502.03167](https://arxiv.org/abs/1502.03167), section 3.1 and algorithm 2: inference.
# - TensorFlow, [tf.compat.v1.layers.batch_normalization](https://www.tensorflow.org/api_docs/python/tf/compat/v1/layers/batch_normalization):
#   the note that the moving averages are updated by operations in `UPDATE_OPS`, which the training step must be made to run.
# - Wu & Johnson (2021), [arXiv:2105.07576](https://arxiv.org/abs/2105.07576), section 3: averages that lag behind, and
#   precise ones.
# - The same in a deep CNN, as a tutorial has it: `python -m bnbench +experiment=conv20`; with more steps and momenta:
#   `python -m bnbench +sweep=population`.
