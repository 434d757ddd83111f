# %% [markdown] tags=["title"] seconds=60
# # Batch norm at batch size 1
#
# A fully connected network and a small convolutional one are trained with batches of 1 to 64 images, each on equally many
# images, without norm, with batch norm and with layer norm. The learning rate is scaled by the square root of the batch
# size.
# %% [markdown] tags=["question"]
# With one image in the batch, what does batch norm put out: in a fully connected network, and in a convolutional one?
#
# From which batch size on is it of use? And what becomes of a network that was trained with large batches, but is tested one
# image at a time?
# %%
import matplotlib.ticker
import torch
from IPython.display import Markdown

import bnbench
from bnbench.lessons import Slide, by_sign, colour, in_points
from bnbench.norms.batch import BatchNorm

SEEDS, NORMS = 4, ("none", "batch", "layer")
TITLES = {"none": "no norm", "batch": "batch norm", "layer": "layer norm"}
# %% [markdown]
# ## One image, by itself
#
# The channel's mean over a batch of one value is that value, so what is left is 0, and the output is the shift. torch
# refuses to train that, other libraries do it; with `constant` bnbench does it too. A map of 2 x 2 positions has four values
# a channel.
# %%
torch.manual_seed(0)
for title, shape in {"3 features": (1, 3), "3 channels of 2 x 2": (1, 3, 2, 2)}.items():
    x = torch.randn(shape, requires_grad=True)
    y = BatchNorm(3, constant=True)(x)
    (y * torch.randn(shape)).sum().backward()
    print(f"{title}: output {y.abs().max():.2g} at most, gradient of the input {x.grad.abs().max():.2g} at most")
# %% [markdown]
# ## Trained with batches of each size
# %%
sweep = bnbench.run(
    "+hydra.sweeper.arms={net: ["
    '["model=fc", "training.batch_size=1,2,8,64", "training.examples=2048", "training.measures=[gradients]"],'
    '["model=cnn", "model.width=2", "model.stride_every=1", "model.hidden=0", "training.batch_size=1,8,64", "training.examples=1536"]'
    "]}",
    "model.depth=3",
    "model.init=kaiming_normal",  # for ReLUs, so that the networks without norm train too
    f"norm={','.join(NORMS)}",
    "norm.single_value=constant",
    "optimizer.lr=0.2",
    "optimizer.lr_scaling=sqrt",
    "optimizer.lr_reference_batch_size=64",
    "sweep.compare=[norm]",
    f"seed=range({SEEDS})",
    "resume=false",  # there and then, though the lesson was run before
)
# %% [markdown]
# Test accuracy in percent, mean over the seeds. A trial that diverged counts as 0. The convolutional network's smallest maps are 4 x 4.
# %%
nets = {"fc": "fully connected", "cnn": "convolutional"}
every = sweep.trials.assign(accuracy=sweep.trials["test/acc"].fillna(0.0))
trials = {title: every[every["model"] == net] for net, title in nets.items()}
means = {
    net: table.pivot_table(index="training.batch_size", columns="norm", values="accuracy")[[*NORMS]]
    for net, table in trials.items()
}
for net, table in means.items():
    print(f"{net}\n{(100 * table).round(1).to_string()}\n")
print(f"trials that diverged: {int((every['status'] == 'diverged').sum())} of {len(every)}")
# %%
slide = Slide("Test accuracy by batch size", x="batch size", y="test accuracy, %", panels=tuple(trials))
for axes, net in zip(slide.axes, trials, strict=True):
    for norm in NORMS:
        own = trials[net][trials[net]["norm"] == norm]
        axes.plot(own["training.batch_size"], 100 * own["accuracy"], "o", color=colour(norm), alpha=0.35)
        axes.plot(means[net].index, 100 * means[net][norm], color=colour(norm), label=TITLES[norm])
    axes.set_xscale("log")
    axes.set_xticks(means[net].index)
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.set_ylim(0, 100)
slide.legend(loc="lower right")
slide.alt = "; ".join(
    f"{net}, {norm}: " + ", ".join(f"{100 * value:.1f} % at {size}" for size, value in means[net][norm].items())
    for net in trials
    for norm in NORMS
)
slide
# %% [markdown]
# ## How surely
#
# Batch norm less no norm, of pairs that share a seed, each with its 95 % interval.
# %%
intervals = {
    (nets[contrast.where["model"]], contrast.where["training.batch_size"]): contrast.interval
    for contrast in sweep.contrast("batch", "none")
}
for (net, size), interval in intervals.items():
    print(f"{net}, batch size {size}: {in_points(interval)}")
# %% [markdown]
# ## Why: the gradient at the first layer
#
# Norm of the loss's gradient by the weights of the first layer of the fully connected network, largest of all steps at
# which it was measured and of all seeds.
# %%
measured = sweep.curves.merge(trials["fully connected"][["key", "norm", "training.batch_size"]], on="key")
gradient = measured.pivot_table(index="training.batch_size", columns="norm", values="gradient/layer_01", aggfunc="max")[
    [*NORMS]
]
print(gradient.map("{:.2g}".format).to_string())
# %% [markdown]
# ## Tested one image at a time
#
# The fully connected network trained with batch norm and batches of 64.
# %%
large = trials["fully connected"].query("norm == 'batch' and `training.batch_size` == 64")
tested = {
    "many images,\nrunning statistics": large["test/acc_running"],
    "one image,\nrunning statistics": large["test/acc_one_by_one_running"],
    "many images,\nthe batch's own": large["test/acc_batch"],
    "one image,\nthe batch's own": large["test/acc_one_by_one_batch"],
}
slide = Slide("Trained with batches of 64, tested with many images or one", y="test accuracy, %")
for place, (name, values) in enumerate(tested.items()):
    slide.axes[0].bar(place, 100 * values.mean(), 0.6, color=colour(1 if "running" in name else 2))
    label = f"{100 * values.mean():.1f}"
    slide.axes[0].annotate(label, (place, 100 * values.mean()), (0, 5), textcoords="offset points", ha="center")
slide.axes[0].set_xticks(range(len(tested)), [*tested])
slide.axes[0].set_ylim(0, 105)
slide.alt = "; ".join(f"{' '.join(name.split())}: {100 * values.mean():.1f} %" for name, values in tested.items())
slide
# %% tags=["answer"]
alone, largest = means["fully connected"].loc[1], gradient.loc[1, "batch"]
conv = by_sign(
    intervals["convolutional", 1],
    above="ahead of no norm",
    below="behind no norm",
    unclear="not to be told from no norm",
)
read = {
    size: by_sign(interval, above="ahead", below="behind", unclear="not to be told apart")
    for (net, size), interval in intervals.items()
    if net == "fully connected" and interval.n
}
verdicts = "; ".join(f"at {size} {words}" for size, words in read.items())
_, running_one, own_many, own_one = (100 * values.mean() for values in tested.values())
Markdown(
    f"""In the fully connected network, at batch size 1, batch norm puts out its shift whatever the image is. The gradient at its
first layer was {"**exactly 0** at every step" if largest == 0 else f"at most {largest:.2g}"}, and the test accuracy is
**{alone["batch"]:.1%}**, where no norm has {alone["none"]:.1%} and layer norm, which needs no batch, {
        alone["layer"]:.1%}.

In the convolutional network one image has many positions, so it has a mean and a variance: batch norm has
**{means["convolutional"].loc[1, "batch"]:.1%}** at batch size 1, {conv} ({means["convolutional"].loc[1, "none"]:.1%}).

Fully connected, batch norm beside no norm is {verdicts}. {
        "The smallest batch is not the only bad one: two values a channel are one at -1 and one at +1."
        if read.get(2) == "behind"
        else ""
    }

Trained with batches of 64 and tested one image at a time, running statistics give {running_one:.1f} %, the image's own
{own_one:.1f} %, where a batch's own give {own_many:.1f} %. {
        "Statistics of one value say nothing, in testing as in training."
        if own_many - own_one > 30
        else "So here it made little difference."
    }"""
)
# %% [markdown] tags=["sources"]
# ## Sources
#
# - Ioffe & Szegedy (2015), [arXiv:1502.03167](https://arxiv.org/abs/1502.03167): section 3.1 for inference, 3.2 for conv
#   layers, which normalize over positions too.
# - Ba, Kiros & Hinton (2016), [arXiv:1607.06450](https://arxiv.org/abs/1607.06450): layer norm.
# - Wu & He (2018), [arXiv:1803.08494](https://arxiv.org/abs/1803.08494): what small batches do to batch norm.
# - The same at length: `python -m bnbench +sweep=batch_size`; `python -m bnbench docs norms` for what other libraries do.
