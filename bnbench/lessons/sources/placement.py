# %% [markdown] tags=["title"] seconds=60
# # Batch norm before the activation or after it?
#
# The batch norm paper puts it before; many networks have it after. A fully connected network and a convolutional one
# are trained with it on either side and without it, at three learning rates.
# %% [markdown] tags=["question"]
# Which is best: batch norm before the activation, after it, or none, and does the learning rate decide?
#
# And would you trust an answer that was found at one learning rate, in one network, with one seed?
# %%
import matplotlib.ticker
from IPython.display import Markdown

import bnbench
from bnbench.lessons import Slide, by_sign, colour, in_points

SEEDS, RATES, LEVELS = 5, (0.1, 0.5, 2.5), ("none", "before", "after")
TITLES = {"none": "no norm", "before": "before the activation", "after": "after it"}
sweep = bnbench.run(
    "+hydra.sweeper.arms={"
    'norm: [["norm=none"], ["norm=batch", "norm.placement=before,after"]],'
    'net: [["model=fc", "training.steps=200"],'
    '["model=cnn", "model.depth=5", "model.width=2", "training.batch_size=32", "training.steps=80"]]'
    "}",
    "sweep.compare=[norm,norm.placement]",
    f"optimizer.lr={','.join(f'{rate:g}' for rate in RATES)}",
    f"seed=range({SEEDS})",
    "resume=false",  # there and then, though the lesson was run before
)
# %% [markdown]
# Test accuracy in percent, mean over the seeds. A trial that diverged counts as 0: it has learned nothing that could be
# tested.
# %%
nets = {"fc": "fully connected", "cnn": "convolutional"}
level = sweep.trials["norm.placement"].astype("object").where(sweep.trials["norm"] == "batch", "none")
every = sweep.trials.assign(level=level, accuracy=sweep.trials["test/acc"].fillna(0.0))
trials = {title: every[every["model"] == net] for net, title in nets.items()}
means = {
    net: own.pivot_table(index="optimizer.lr", columns="level", values="accuracy")[[*LEVELS]]
    for net, own in trials.items()
}
for net, table in means.items():
    diverged = int((trials[net]["status"] == "diverged").sum())
    print(f"{net}: {diverged} of {len(trials[net])} trials diverged\n{(100 * table).round(1).to_string()}\n")
# %%
slide = Slide("Test accuracy by placement", x="learning rate", y="test accuracy, %", panels=tuple(trials))
for axes, net in zip(slide.axes, trials, strict=True):
    for level in LEVELS:
        own = trials[net][trials[net]["level"] == level]
        axes.plot(own["optimizer.lr"], 100 * own["accuracy"], "o", color=colour(level), alpha=0.35)
        axes.plot(means[net].index, 100 * means[net][level], color=colour(level), label=TITLES[level])
    axes.set_xscale("log")
    axes.set_xticks(RATES)
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.set_ylim(0, 100)
slide.legend(loc="center left")
slide.alt = "; ".join(
    f"{net}, {level}: " + ", ".join(f"{100 * value:.1f} % at {rate:g}" for rate, value in means[net][level].items())
    for net in trials
    for level in LEVELS
)
slide
# %% [markdown]
# ## How surely
#
# Pairs share a seed: initial weights and the order of the batches. Each mean difference has its 95 % interval. Where trials
# diverged or stayed at chance, the pairs that are left are a choice of the lucky ones.
# %%
differences = {
    (nets[contrast.where["model"]], contrast.where["optimizer.lr"]): contrast
    for contrast in sweep.contrast("before", "after")
}


def said(contrast):
    lost = sum(side.outcomes.diverged + side.outcomes.collapsed for side in contrast.sides)
    failures = f"; {lost} trials diverged or stayed at chance" if lost else ""
    return in_points(contrast.interval) + failures


for (net, rate), contrast in differences.items():
    print(f"{net}, before - after at {rate:g}: {said(contrast)}")
# %%
slide = Slide(
    "before - after, pair by pair", x="learning rate", y="difference, percentage points", panels=tuple(trials)
)
for (net, rate), contrast in differences.items():
    axes, place = slide.axes[[*trials].index(net)], RATES.index(rate)
    points, interval = 100 * contrast.differences.to_numpy(), contrast.interval
    axes.plot([place] * len(points), points, "o", color=colour("before"), alpha=0.4)
    if interval.low is not None:
        axes.vlines(place + 0.15, 100 * interval.low, 100 * interval.high, color=colour("before"), lw=4)
        axes.plot(place + 0.15, 100 * interval.mean, "s", color=colour("before"), ms=10)
for axes in slide.axes:
    axes.axhline(0, color=colour("none"), lw=1.2)
    axes.set_xticks(range(len(RATES)), [f"{rate:g}" for rate in RATES])
    axes.set_xlim(-0.5, len(RATES) - 0.5)
slide.alt = "; ".join(f"{net} at {rate:g}: {said(contrast)}" for (net, rate), contrast in differences.items())
slide
# %% tags=["answer"]


def verdict(net):
    read = {
        rate: by_sign(
            contrast.interval, above="before is ahead", below="after is ahead", unclear="they cannot be told apart"
        )
        for (of, rate), contrast in differences.items()
        if of == net and not contrast.descriptive
    }
    lost = {
        rate: contrast.successes for (of, rate), contrast in differences.items() if of == net and contrast.descriptive
    }
    parts = [f"at {rate:g} {words} ({said(differences[net, rate])})" for rate, words in read.items()]
    parts += [
        f"at {rate:g} {of_b} of {all_b} trials with the norm after the activation learned something, "
        f"{of_a} of {all_a} with it before"
        for rate, ((of_a, all_a), (of_b, all_b)) in lost.items()
    ]
    return "; ".join(parts)


def best(net):
    rates = {level: means[net][level].idxmax() for level in LEVELS}
    return ", ".join(
        f"{TITLES[level]} {means[net].loc[rate, level]:.1%} (at {rate:g})" for level, rate in rates.items()
    )


words = {
    by_sign(contrast.interval, above="before", below="after", unclear="")
    for contrast in differences.values()
    if not contrast.descriptive
}
Markdown(
    f"""**Fully connected**: {verdict("fully connected")}. Each at its best rate: {best("fully connected")}.

**Convolutional**: {verdict("convolutional")}. Each at its best rate: {best("convolutional")}.

{
        "The sides differ in their answers: where the norm stands is worth asking of each network and rate."
        if {"before", "after"} <= words
        else "The answers do not contradict each other, but they are of two small networks, few steps and one set of digits."
    }
The best rates were chosen on the seeds that are shown, which flatters them all; a sweep that is to be believed chooses them
on other seeds. With one seed, any of the points above might have been the whole experiment."""
)
# %% [markdown] tags=["sources"]
# ## Sources
#
# - Ioffe & Szegedy (2015), [arXiv:1502.03167](https://arxiv.org/abs/1502.03167), section 3.2: before the nonlinearity, for
#   its inputs are nearer to a Gaussian.
# - Mishkin, Sergievskiy & Matas (2017), [arXiv:1606.02228](https://arxiv.org/abs/1606.02228), section 3.2: a trial of both,
#   on ImageNet.
# - The same at length, with ten seeds and learning rates tuned on others: `python -m bnbench +sweep=placement`.
