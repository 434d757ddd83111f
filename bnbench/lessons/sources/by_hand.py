# %% [markdown] tags=["title"] seconds=6
# # Batch norm by hand: a 2 x 3 matrix, forward and backward
#
# Two examples are the rows, three channels the columns. Each channel is treated alone: a column has its own mean, its
# own variance, its own scale gamma and shift beta.
# %% [markdown] tags=["question"]
# A channel's gradient is 1 for one example and 0 for the other. Through batch norm, how much of it reaches the input?
#
# All of it, a part, or nothing? And what if every channel holds only two examples?
# %%
import numpy as np
from IPython.display import Markdown

from bnbench.lessons import Slide, colour
from bnbench.reference import batchnorm_backward, batchnorm_forward, torch_state

x = np.array([[-2.0, 12.0, 6.0], [3.0, 2.0, 8.0]])
gamma, beta = np.array([1.0, 2.0, 1.0]), np.array([0.0, 1.0, -1.0])
eps, momentum = 1e-5, 0.1


def say(label, matrix):
    rows = [" ".join(f"{number:12.6f}" for number in row) for row in np.atleast_2d(matrix)]
    print("\n".join(f"{label if k == 0 else '':<30}{row}" for k, row in enumerate(rows)))


# %% [markdown]
# ## Forward
#
# Subtract the column's mean, divide by its standard deviation, scale and shift. The variance divides by N, the number of
# examples; eps stands inside the root.
# %%
N = len(x)
mean = x.sum(axis=0) / N
variance = ((x - mean) ** 2).sum(axis=0) / N
std = np.sqrt(variance + eps)
x_hat = (x - mean) / std
y = gamma * x_hat + beta
say("x", x)
say("mean", mean)
say("variance, divisor N", variance)
say("sqrt(variance + eps)", std)
say("x_hat = (x - mean) / that", x_hat)
say("y = gamma * x_hat + beta", y)

state = torch_state(3, eps=eps, momentum=momentum)
judged, cache = batchnorm_forward(x, gamma, beta, state)
print(f"\nfarthest from bnbench.reference: {np.abs(y - judged).max():.1g}")
# %%
slide = Slide("One channel's two examples, step by step", panels=("channel 1", "channel 2", "channel 3"))
steps = ("x", "x - mean", "x_hat", "y")
stages = np.stack([x, x - mean, x_hat, y])
for channel, axes in enumerate(slide.axes):
    for example in range(N):
        values = stages[:, example, channel]
        axes.plot(range(4), values, marker="o", color=colour(1 + example), label=f"example {example + 1}")
        for k, value in enumerate(values):
            above = value >= stages[k, 1 - example, channel]
            axes.annotate(
                f"{value:.3g}",
                (k, value),
                (0, 9 if above else -20),
                textcoords="offset points",
                ha="center",
                fontsize=13,
            )
    axes.set_xticks(range(4), steps, fontsize=12)
    axes.set_xlim(-0.5, 3.5)
    axes.margins(y=0.12)
slide.legend(loc="upper right")
slide.alt = "; ".join(
    f"channel {c + 1}: "
    + ", ".join(f"{step} {stages[k, 0, c]:.3g} and {stages[k, 1, c]:.3g}" for k, step in enumerate(steps))
    for c in range(3)
)
slide
# %% [markdown]
# ## Backward
#
# The gradient dy comes from above. Mean and variance are made of all examples, so each example's x moves every output of
# its channel. Two means are what remains of that: the mean of dy, by way of the batch's mean, and the mean of dy * x_hat,
# by way of its variance. Both are taken out of dy before it goes on:
#
# `dx = gamma / std * (dy - mean(dy) - x_hat * mean(dy * x_hat))`
# %%
dy = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
by_mean = dy.sum(axis=0) / N
by_variance = (dy * x_hat).sum(axis=0) / N
naive = gamma / std * dy
dx = gamma / std * (dy - by_mean - x_hat * by_variance)
say("dy", dy)
say("mean(dy)", by_mean)
say("mean(dy * x_hat)", by_variance)
say("dgamma = sum(dy * x_hat)", (dy * x_hat).sum(axis=0))
say("dbeta = sum(dy)", dy.sum(axis=0))
say("gamma / std * dy alone", naive)
say("dx", dx)
print(f"\nfarthest from bnbench.reference: {np.abs(dx - batchnorm_backward(dy, cache)[0]).max():.1g}")


def loss(x):
    return (dy * batchnorm_forward(x, gamma, beta, torch_state(3, eps=eps))[0]).sum()


def slope(row, column, h=1e-3):
    """The loss's slope in one element of x, by two more forward passes: it knows nothing of the formula."""
    step = np.zeros_like(x)
    step[row, column] = h
    return (loss(x + step) - loss(x - step)) / (2 * h)


measured = np.array([[slope(row, column) for column in range(3)] for row in range(N)])
say("dx by finite differences", measured)
# %% [markdown]
# ## With four examples
#
# Two examples are a special case: whatever they are, the smaller one is at -1 and the larger at +1. So two rows more, and
# the same gradient.
# %%
x4 = np.vstack([x, [[0.0, 5.0, 1.0], [7.0, 6.0, 3.0]]])
dy4 = np.vstack([dy, np.zeros((2, 3))])
_, cache4 = batchnorm_forward(x4, gamma, beta, torch_state(3, eps=eps))
dx4, _, _ = batchnorm_backward(dy4, cache4)
say("dx of four examples", dx4)
say("its sum over the batch", dx4.sum(axis=0))
say("sum(dx * x_hat)", (dx4 * cache4.x_hat).sum(axis=0))
passed = np.linalg.norm(dx, axis=0) / np.linalg.norm(naive, axis=0)
passed4 = np.linalg.norm(dx4, axis=0) / np.linalg.norm(gamma / cache4.std * dy4, axis=0)

slide = Slide("How much of the gradient passes", x="channel", y="|dx| over |gamma / std * dy|")
for k, (examples, share) in enumerate({"2 examples": passed, "4 examples": passed4}.items()):
    places = np.arange(3) + 0.36 * (k - 0.5)
    slide.axes[0].bar(places, share, 0.32, color=colour(1 + k), label=examples)
    for place, value in zip(places, share, strict=True):
        label = f"{value:.2g}"
        slide.axes[0].annotate(label, (place, value), (0, 5), textcoords="offset points", ha="center", fontsize=13)
slide.axes[0].set_xticks(range(3), ["1", "2", "3"])
slide.axes[0].set_ylim(0, 1.1)
slide.legend(loc="upper left", ncols=2)
slide.alt = "; ".join(f"channel {c + 1}: {passed[c]:.2g} of 2 examples, {passed4[c]:.2g} of 4" for c in range(3))
slide
# %% [markdown]
# ## What stays behind for inference
#
# The running statistics move towards the batch's by momentum; in torch the running variance takes the batch's with divisor
# N - 1, which at two examples is twice the one that normalized them.
# %%
say("running mean, from 0", state["running_mean"])
say("running variance, from 1", state["running_var"])
state["mode"] = "test"
at_test, _ = batchnorm_forward(x, gamma, beta, state)
say("y at inference", at_test)
say("y in training", y)
# %% tags=["answer"]
less = np.linalg.norm(naive, axis=0).max()
Markdown(
    f"""Of two examples, {"nearly nothing" if passed.max() < 0.01 else f"up to {passed.max():.0%}"}: at most
**{passed.max():.2g}** of the gradient's length passes, {np.abs(dx).max():.2g} at the largest element, where gamma / std * dy
alone has {less:.2g}. The outputs are {x_hat.min():.5f} and {x_hat.max():.5f} whatever the inputs, so moving an input
changes them only through eps. Of four examples, **{passed4.min():.0%} to {passed4.max():.0%}** pass.

What is taken out is the same in both: dx sums to {abs(dx4.sum(axis=0)).max():.1g} over the batch (a bias before batch norm has
no gradient), and it has {"no part" if abs((dx4 * cache4.x_hat).sum(axis=0)).max() < 1e-3 else "a part"} along x_hat
(scaling the weights before batch norm changes nothing): sum(dx * x_hat) is at most
{abs((dx4 * cache4.x_hat).sum(axis=0)).max():.1g}.

Finite differences, which know nothing of the formula, are at most {np.abs(measured - dx).max():.1g} away. At inference, after
this one batch, the outputs differ from training's by up to {np.abs(at_test - y).max():.3g}: the running mean has gone
{state["running_mean"][1] / mean[1]:.0%} of the way to the batch's."""
)
# %% [markdown] tags=["sources"]
# ## Sources
#
# - Ioffe & Szegedy (2015), [arXiv:1502.03167](https://arxiv.org/abs/1502.03167): algorithm 1, and the gradients in
#   section 3; algorithm 2 for inference.
# - `bnbench/reference/batch_norm.py`, which judged every number above.
