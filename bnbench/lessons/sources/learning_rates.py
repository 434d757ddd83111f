# %% [markdown] tags=["title"] seconds=40
# # Batch norm and hot learning rates
#
# The same fully connected network is trained on handwritten digits with and without batch norm, at learning rates from
# gentle to absurd. Trials with the same seed start from the same weights and see the same batches in the same order.
# %% [markdown] tags=["question"]
# At how many of seven learning rates, from 0.01 to 10, does the network come near its best: without norm, and with batch norm?
#
# And is a learning rate that is good for the one good for the other?
# %%
import matplotlib.ticker
from IPython.display import Markdown

import bnbench
from bnbench.lessons import Slide, by_sign, colour, in_points

RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
NORMS = ("none", "batch")
sweep = bnbench.run(
    "model=fc",
    "norm=none,batch",
    f"optimizer.lr={','.join(f'{rate:g}' for rate in RATES)}",
    "seed=range(5)",
    "training.steps=200",
    "resume=false",  # there and then, though the lesson was run before
)
# %% [markdown]
# A trial that diverged has no accuracy, so it counts as 0 here: it has learned nothing that could be tested.
# %%
trials = sweep.trials.assign(accuracy=sweep.trials["test/acc"].fillna(0.0))
means = trials.pivot_table(index="optimizer.lr", columns="norm", values="accuracy")
diverged = trials.assign(diverged=trials["status"] == "diverged").pivot_table(
    index="optimizer.lr", columns="norm", values="diverged", aggfunc="sum"
)
print((100 * means[[*NORMS]]).round(1).to_string())
print(f"\ntrials that diverged: {int(diverged.to_numpy().sum())} of {len(trials)}")
# %%
slide = Slide("Test accuracy after 200 steps, 5 seeds each", x="learning rate", y="test accuracy, %")
(axes,) = slide.axes
for norm in NORMS:
    own = trials[trials["norm"] == norm]
    axes.plot(own["optimizer.lr"], 100 * own["accuracy"], "o", color=colour(norm), alpha=0.35)
    axes.plot(means.index, 100 * means[norm], color=colour(norm), label="no norm" if norm == "none" else "batch norm")
axes.set_xscale("log")
axes.set_xticks(RATES)
axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
axes.set_ylim(0, 100)
slide.legend(loc="lower left")
slide.alt = "; ".join(
    f"{norm}: " + ", ".join(f"{100 * means.loc[rate, norm]:.1f} % at {rate:g}" for rate in RATES) for norm in NORMS
)
slide
# %% [markdown]
# ## How surely
#
# The differences are of pairs that share a seed, each with its 95 % interval.
# %%
contrasts = {one.where["optimizer.lr"]: one.interval for one in sweep.contrast("batch", "none")}
for rate, interval in contrasts.items():
    print(f"batch - none at {rate:g}: {in_points(interval)}")
# %% tags=["answer"]
near = {norm: [rate for rate in RATES if means.loc[rate, norm] >= means[norm].max() - 0.05] for norm in NORMS}
best = {norm: means[norm].idxmax() for norm in NORMS}
read = {
    rate: by_sign(interval, above="batch norm is ahead", below="no norm is ahead", unclear="it cannot be told")
    for rate, interval in contrasts.items()
    if rate in best.values()
}
shown = [interval.mean for interval in contrasts.values() if interval.n]
Markdown(
    f"""Within 5 points of its own best, the network without norm is at **{len(near["none"])} of {len(RATES)}** learning
rates ({", ".join(f"{rate:g}" for rate in near["none"])}), with batch norm at **{len(near["batch"])}**
({", ".join(f"{rate:g}" for rate in near["batch"])}).

The best mean is {means["none"].max():.1%} without norm, at {best["none"]:g}, and {means["batch"].max():.1%} with batch norm,
at {best["batch"]:g}: {"the same rate" if best["none"] == best["batch"] else "not the same rate"}. At
{"; at ".join(f"{rate:g} {words}" for rate, words in sorted(read.items()))}.

A comparison at one rate alone says as much of the rate as of the norm: among the rates where both trained, batch - none
goes from {100 * min(shown):+.1f} to {100 * max(shown):+.1f} pp. Trials that diverged: {int(diverged["none"].sum())} without norm,
{int(diverged["batch"].sum())} with batch norm; they are in the means above, as 0."""
)
# %% [markdown] tags=["sources"]
# ## Sources
#
# - Ioffe & Szegedy (2015), [arXiv:1502.03167](https://arxiv.org/abs/1502.03167), section 3.3: batch norm enables higher
#   learning rates.
# - Bjorck et al. (2018), [arXiv:1806.02375](https://arxiv.org/abs/1806.02375): that this is where its gain comes from.
# - The same at length, with learning rates tuned on other seeds: `python -m bnbench +sweep=learning_rate`.
