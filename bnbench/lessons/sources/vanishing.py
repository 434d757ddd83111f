# %% [markdown] tags=["title"] seconds=40
# # Vanishing gradients: ten layers, with batch norm and without
#
# A fully connected network of ten hidden layers, with sigmoids and with ReLUs, with batch norm before each of them and
# without. The gradient is measured at every layer before the first step; then the network trains 100 steps on
# handwritten digits.
# %% [markdown] tags=["question"]
# Ten hidden layers: how much smaller is the gradient at the second layer than at the tenth, with sigmoids and with ReLUs?
#
# Which of these networks train at all, and is it batch norm or the scale of the initial weights that decides?
# %%
import matplotlib.ticker
import numpy as np
from IPython.display import Markdown

import bnbench
from bnbench.lessons import Slide, colour

DEPTH, SEEDS, STEPS = 10, 3, 100
ACTIVATIONS, INITS, NORMS = ("sigmoid", "relu"), ("torch", "kaiming_normal"), ("none", "batch")
CHANCE = 0.15  # ten classes of equal size: 0.1, and some room for luck
sweep = bnbench.run(
    "model=fc",
    f"model.depth={DEPTH}",
    f"model.activation={','.join(ACTIVATIONS)}",
    f"model.init={','.join(INITS)}",
    f"norm={','.join(NORMS)}",
    "sweep.compare=[norm]",
    f"seed=range({SEEDS})",
    f"training.steps={STEPS}",
    "training.measures=[gradients]",
    "resume=false",  # there and then, though the lesson was run before
)
# %% [markdown]
# ## The gradient at each layer, before the first step
#
# It is the norm of the loss's gradient by the layer's weights. Layer 1 is left out of the comparison, because its 784
# inputs are not those of the other layers; layer 11 is the head. `torch` is torch's default, uniform weights of variance
# 1 / (3 * inputs); `kaiming_normal` is what He et al. made for ReLUs, variance 2 / inputs.
# %%
arm = ["model.init", "model.activation", "norm"]
start = sweep.curves[sweep.curves["step"] == 0].merge(sweep.trials[["key", *arm]], on="key")
layers = [key for key in start if key.startswith("gradient/layer_")]
gradients = start.groupby(arm)[layers].agg(lambda sizes: np.exp(np.log(sizes).mean()))  # geometric, over the seeds
gradients.columns = range(1, DEPTH + 2)
print(gradients[[1, 2, 4, 6, 8, 10, 11]].map("{:.1e}".format).to_string())


def draw(init, title):
    slide = Slide(title, x="layer", y="gradient's norm", panels=ACTIVATIONS)
    for axes, activation in zip(slide.axes, ACTIVATIONS, strict=True):
        for norm in NORMS:
            mine = start.set_index(arm).loc[[(init, activation, norm)]]
            axes.plot(gradients.columns, mine[layers].T, "o", color=colour(norm), alpha=0.3)
            label = "no norm" if norm == "none" else "batch norm"
            axes.plot(gradients.columns, gradients.loc[(init, activation, norm)], color=colour(norm), label=label)
        axes.set_yscale("log")
        axes.set_xticks(gradients.columns)
    slide.axes[0].yaxis.set_major_locator(matplotlib.ticker.LogLocator(numticks=8))
    slide.legend(loc="lower right")
    slide.alt = "; ".join(
        f"{activation}, {norm}: {gradients.loc[(init, activation, norm), 2]:.1e} at layer 2, "
        f"{gradients.loc[(init, activation, norm), DEPTH]:.1e} at layer {DEPTH}"
        for activation in ACTIVATIONS
        for norm in NORMS
    )
    return slide


draw("torch", "Gradient by layer, torch's initial weights")
# %%
draw("kaiming_normal", "Gradient by layer, initial weights of He et al.")
# %% [markdown]
# ## Which of them train
#
# Test accuracy in percent after the last step, mean over the seeds. A trial that diverged counts as 0.
# %%
trials = sweep.trials.assign(accuracy=sweep.trials["test/acc"].fillna(0.0))
accuracy = trials.groupby(arm)["accuracy"].mean()
print((100 * accuracy).unstack("norm")[[*NORMS]].round(1).to_string())
# %% tags=["answer"]
ratio = gradients[2] / gradients[DEPTH]  # below 1 the gradient shrinks on its way back


def says(init, activation, norm):
    one = ratio[init, activation, norm]
    if 0.5 <= one <= 2:
        return f"about the same ({one:.2g} times)"
    return f"{float(f'{1 / one:.2g}'):,.0f} times smaller" if one < 1 else f"{one:.2g} times larger"


def trained(norm, init):
    good = [activation for activation in ACTIVATIONS if accuracy[init, activation, norm] > CHANCE]
    return " and ".join(good) or "neither"


cured = ratio["kaiming_normal", "relu", "none"] > 0.2 > ratio["torch", "relu", "none"]
steep = [activation for activation in ACTIVATIONS if ratio["torch", activation, "batch"] > 2]
Markdown(
    f"""With torch's initial weights and without norm, the gradient at layer 2 is **{
        says("torch", "sigmoid", "none")
    }** than at
layer {DEPTH} with sigmoids and **{says("torch", "relu", "none")}** with ReLUs. With batch norm it is
{says("torch", "sigmoid", "batch")} with sigmoids and {says("torch", "relu", "batch")} with ReLUs.

After {STEPS} steps, without norm {trained("none", "torch")} of the two is above chance, with batch norm
{trained("batch", "torch")}. With the initial weights of He et al.: without norm {
        trained("none", "kaiming_normal")
    }, with
batch norm {trained("batch", "kaiming_normal")}.

{
        "So with ReLUs it was the scale of the initial weights: with those of He et al. the gradient is"
        if cured
        else "With ReLUs and the initial weights of He et al., without norm, the gradient is"
    }
{says("kaiming_normal", "relu", "none")} at layer 2, without any norm. With sigmoids it is
{says("kaiming_normal", "sigmoid", "none")} even with those: a sigmoid's slope is at most 1/4.

{
        f"Batch norm does not make the gradients equal: with {' and '.join(steep)} they grow on the way back to the input, which "
        "theory predicts of wide networks, by a factor a layer."
        if steep
        else "With batch norm the gradients of all layers are of one size here."
    }"""
)
# %% [markdown] tags=["sources"]
# ## Sources
#
# - Glorot & Bengio (2010), [Understanding the difficulty of training deep feedforward neural
#   networks](https://proceedings.mlr.press/v9/glorot10a.html): why sigmoids do badly in deep networks.
# - He et al. (2015), [arXiv:1502.01852](https://arxiv.org/abs/1502.01852), section 2.2: initial weights for ReLUs.
# - Ioffe & Szegedy (2015), [arXiv:1502.03167](https://arxiv.org/abs/1502.03167), section 4.2.2: a network of sigmoids
#   trains with batch norm.
# - Yang et al. (2019), [arXiv:1902.08129](https://arxiv.org/abs/1902.08129): with batch norm alone, gradients explode with
#   depth.
# - The same at length, for depths 3 to 20: `python -m bnbench +sweep=depth`.
