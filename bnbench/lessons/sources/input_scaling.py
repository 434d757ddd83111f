# %% [markdown] tags=["title"] seconds=60
# # Scaling the inputs, and what batch norm makes of it
#
# The same digits with pixels from 0 to 255, from 0 to 1, and standardized to mean 0 and variance 1; in logistic
# regression, in a fully connected network, and in one with batch norm, at learning rates from tiny to hot.
# %% [markdown] tags=["question"]
# Pixels from 0 to 255 instead of 0 to 1: which learning rate does a network need then, and by what factor does it change?
#
# And with batch norm behind the first layer?
# %%
import matplotlib.ticker
import numpy as np
from IPython.display import Markdown

import bnbench
from bnbench.lessons import Slide, colour

RATES, SCALINGS = (1e-3, 1e-2, 1e-1, 1.0, 10.0), ("raw", "unit", "standard")
TITLES = {"raw": "0 to 255", "unit": "0 to 1", "standard": "standardized"}
COLOURS = {"raw": 2, "unit": 1, "standard": 3}
NETS = {(3, "none"): "3 layers, no norm", (3, "batch"): "3 layers, batch norm", (0, "none"): "logistic regression"}
shared = (
    '+hydra.sweeper.arms={net: [["model.depth=0", "norm=none"], ["model.depth=3", "norm=none,batch"]]}',
    "model=fc",
    f"data.scaling={','.join(SCALINGS)}",
    "sweep.compare=[data.scaling]",
    "sweep.contrasts=[standard - raw]",  # of the report; the lesson compares all three
    "resume=false",  # there and then, though the lesson was run before
)
net = ["model.depth", "norm"]
# %% [markdown]
# ## How steep the loss is, before training
#
# The largest eigenvalue of the Hessian of the loss, by all weights, under the initial weights of one seed. In a bowl of
# curvature h, gradient descent leaves the bowl where its learning rate is more than 2 / h.
# %%
start = bnbench.run(*shared, "seed=0", "training.steps=1", "training.measures=[hessian]")
measured = start.curves[start.curves["step"] == 0].merge(start.trials[["key", "data.scaling", *net]], on="key")
steep = (
    measured.groupby([*net, "data.scaling"])["hessian/largest"].mean().unstack("data.scaling").loc[[*NETS], [*SCALINGS]]
)
steep.index = [*NETS.values()]
print(steep.map("{:.3g}".format).to_string())
# %% [markdown]
# ## Trained at each learning rate
#
# Test accuracy in percent after 100 steps, mean over the seeds. A trial that diverged counts as 0.
# %%
sweep = bnbench.run(
    *shared, "seed=range(3)", f"optimizer.lr={','.join(f'{rate:g}' for rate in RATES)}", "training.steps=100"
)
trials = sweep.trials.assign(
    accuracy=sweep.trials["test/acc"].fillna(0.0), net=[NETS[tuple(one)] for one in sweep.trials[net].to_numpy()]
)
means = trials.pivot_table(index=["net", "optimizer.lr"], columns="data.scaling", values="accuracy")[[*SCALINGS]]
print((100 * means).round(1).to_string())
print(f"\ntrials that diverged: {int((trials['status'] == 'diverged').sum())} of {len(trials)}")
# %%
slide = Slide(
    "Test accuracy after 100 steps, 3 seeds", x="learning rate", y="test accuracy, %", panels=tuple(NETS.values())
)
for axes, name in zip(slide.axes, NETS.values(), strict=True):
    for scaling in SCALINGS:
        own = trials[(trials["net"] == name) & (trials["data.scaling"] == scaling)]
        axes.plot(own["optimizer.lr"], 100 * own["accuracy"], "o", color=colour(COLOURS[scaling]), alpha=0.35)
        axes.plot(RATES, 100 * means.loc[name, scaling], color=colour(COLOURS[scaling]), label=TITLES[scaling])
    axes.set_xscale("log")
    axes.set_xticks(RATES[::2])
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.set_ylim(0, 100)
slide.legend(loc="lower right")
slide.alt = "; ".join(
    f"{name}, {TITLES[scaling]}: "
    + ", ".join(f"{100 * means.loc[(name, rate), scaling]:.0f} % at {rate:g}" for rate in RATES)
    for name in NETS.values()
    for scaling in SCALINGS
)
slide
# %%
slide = Slide("Curvature before training", y="largest eigenvalue of the loss's Hessian")
(axes,) = slide.axes
for k, scaling in enumerate(SCALINGS):
    places = np.arange(len(NETS)) + 0.27 * (k - 1)
    axes.bar(places, steep[scaling], 0.25, color=colour(COLOURS[scaling]), label=TITLES[scaling])
    for place, value in zip(places, steep[scaling], strict=True):
        axes.annotate(f"{value:.2g}", (place, value), (0, 5), textcoords="offset points", ha="center", fontsize=13)
axes.set_yscale("log")
axes.set_xticks(range(len(NETS)), steep.index)
axes.margins(y=0.15)
slide.legend(loc="upper right")
slide.alt = "; ".join(
    f"{name}, {TITLES[scaling]}: {steep.loc[name, scaling]:.2g}" for name in steep.index for scaling in SCALINGS
)
slide
# %% tags=["answer"]
best = {name: means.loc[name].idxmax() for name in NETS.values()}
spread = {name: (means.loc[name].max(axis=1) - means.loc[name].min(axis=1)).max() for name in NETS.values()}
plain, normed = NETS[3, "none"], NETS[3, "batch"]


def rates(name):
    words = [f"{best[name][scaling]:g} with {TITLES[scaling]}" for scaling in SCALINGS]
    edge = [TITLES[scaling] for scaling in SCALINGS if best[name][scaling] in (RATES[0], RATES[-1])]
    return ", ".join(words) + (f" (of {' and '.join(edge)} the last that was tried)" if edge else "")


factor = best[plain]["unit"] / best[plain]["raw"]
curved = {name: steep.loc[name].max() / steep.loc[name].min() for name in steep.index}
Markdown(
    f"""Without norm, the best of these learning rates is {
        rates(plain)
    }: between pixels of 0 to 255 and of 0 to 1 it changes by
a factor of **{factor:g}**. Logistic regression: {
        rates(NETS[0, "none"])
    }. A gradient by the first layer's weights is a multiple of the
inputs, so the loss is steeper: the largest curvature differs by a factor of {curved[NETS[0, "none"]]:,.0f} between the
scalings in logistic regression, and of {curved[plain]:,.0f} in the deeper network without norm.

With batch norm it is {rates(normed)}, and at no rate do the scalings differ by more than
**{100 * spread[normed]:.1f} pp** (without norm: {100 * spread[plain]:.1f} pp). The curvature differs by
{100 * (curved[normed] - 1):.2g} %. {
        "Batch norm divides by the standard deviation, so a factor on the inputs is gone after the first layer."
        if curved[normed] < 1.2 and spread[normed] < 0.1
        else "So here batch norm does not take all of the scaling away."
    }

Two scalings are compared fairly only if each has its own learning rate: at 0.1, without norm, they have
{", ".join(f"{means.loc[(plain, 0.1), scaling]:.0%}" for scaling in SCALINGS)}."""
)
# %% [markdown] tags=["sources"]
# ## Sources
#
# - LeCun, Bottou, Orr & Müller (1998), [Efficient BackProp](http://yann.lecun.com/exdb/publis/pdf/lecun-98b.pdf), sections
#   4.3 and 5: normalized inputs, the Hessian's eigenvalues and the learning rate.
# - Ioffe & Szegedy (2015), [arXiv:1502.03167](https://arxiv.org/abs/1502.03167), section 3.3: back-propagation through batch
#   norm does not feel the scale of the weights; the same holds for the inputs' scale.
# - The same at length, with learning rates tuned on other seeds: `python -m bnbench +sweep=input_scaling`.
