"""The models: the keys of `model`, and for each model an entry with all that can be known of it without torch.

A new model takes its network in `bnbench/models/`, an entry here, any key that it adds to `ModelConfig`, and
`conf/model/NAME.yaml`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, fields

from bnbench.config.choices import Activation, Bias, Init, Padding
from bnbench.config.norm_catalog import NormConfig
from bnbench.config.number import number


@dataclass(frozen=True)
class ModelConfig:
    """The network, without its normalization."""

    name: str = "fc"
    factory: str | None = None  # custom: package.module:function, which returns the network
    depth: int = number(3, 0)  # hidden layers (fc; 0 is logistic regression), conv layers (cnn)
    widths: list[int] | None = None  # fc: features of each hidden layer, in place of depth and width
    width: int = number(100, 1)  # fc: features per layer; cnn: layer l has width * l channels
    stride_every: int = number(3, 1)  # cnn: every stride_every-th layer has stride 2
    min_map: int = number(1, 1)  # cnn: no stride where the map would get smaller than this
    hidden: int = number(100, 0)  # cnn: features of the fully connected layer; 0 for none
    padding: Padding = Padding.torch  # cnn
    activation: Activation = Activation.relu
    dropout: float = number(0.0, 0, 1, high_is_allowed=False)  # probability of a zero at the end of every hidden block
    bias: Bias = Bias.auto
    init: Init = Init.torch  # own: model=custom keeps the weights it brings, in its norms too
    init_gain: float = number(1.0, 0, low_is_allowed=False)
    init_sd: float = number(0.05, 0, low_is_allowed=False)
    head_init: Init | None = None
    head_gain: float = number(1.0, 0, low_is_allowed=False)
    head_sd: float | None = number(None, 0, low_is_allowed=False)

    @property
    def hidden_widths(self) -> list[int]:
        """Features of each hidden layer of the fully connected network."""
        return [self.width] * self.depth if self.widths is None else list(self.widths)


@dataclass(frozen=True)
class Model:
    """What the rest of bnbench needs to know of a model without building it.

    Attributes:
        summary: One line for `bnbench list`.
        network: Its class or function, `package.module:name`, imported when a network is built. It is called with the
            model's configuration, the norm's, the images' shape (C, H, W) and the number of classes.
        geometry: The function, `package.module:name`, that works out its `Geometry` from the model's configuration, the
            images' shape (C, H, W) and the number of classes.
        keys: Gives the keys of `model` that have an effect, beside those that `model_keys` adds for every model.
        errors: Gives one line for each contradiction between a configuration and this model.
        blocks: Whether the network is made of `bnbench.models.block.Block`s. They obey `norm.placement`, `norm.logits`
            and `norm.weight_standardization`, and the measures read their values.
    """

    summary: str
    network: str
    geometry: str
    keys: Callable[[ModelConfig], Set[str]]
    errors: Callable[[ModelConfig, NormConfig], Iterator[str]]
    blocks: bool = True


KEYS_OF_BLOCKS = frozenset({"placement", "logits", "weight_standardization"})
"""The keys of `norm` that have an effect only in models made of blocks."""

KEYS_OF_OWN_NETWORKS = frozenset({"without"})
"""The keys of `norm` that have an effect only in a network of the user's own."""

_HIDDEN_LAYER_KEYS = {"bias", "dropout", "init_gain"}  # they have no effect without a hidden layer
_INITS_WITH_SD = {Init.normal, Init.truncated_normal}


def model_keys(model: ModelConfig) -> Set[str]:
    """The keys of `model` that have an effect in a configuration."""
    head_init = model.head_init or model.init
    keys = {"name", "activation", "init", "head_init", "head_gain", *ALL_MODELS[model.name].keys(model)}
    if head_init in _INITS_WITH_SD:
        keys.add("head_sd")
    if model.init in _INITS_WITH_SD or (head_init in _INITS_WITH_SD and model.head_sd is None):
        keys.add("init_sd")
    return keys


def _fc_keys(model: ModelConfig) -> Set[str]:
    if model.widths is not None:
        return {"widths", *_HIDDEN_LAYER_KEYS}
    return {"depth", "width", *_HIDDEN_LAYER_KEYS} if model.depth > 0 else {"depth"}


def _fc_errors(model: ModelConfig, norm: NormConfig) -> Iterator[str]:
    if model.hidden_widths:
        return
    if model.dropout:
        yield f"model.dropout={model.dropout} has no hidden layer to follow with model.depth=0; set it to 0"
    if norm.weight_standardization:
        yield "norm.weight_standardization=true has no hidden layer to standardize with model.depth=0; set it to false"


def _cnn_keys(model: ModelConfig) -> Set[str]:
    return {"depth", "width", "stride_every", "min_map", "hidden", "padding", *_HIDDEN_LAYER_KEYS}


def _cnn_errors(model: ModelConfig, norm: NormConfig) -> Iterator[str]:
    if model.depth == 0:
        yield f"model.depth=0 leaves model={model.name} without a layer; it must be a whole number >= 1"


def _custom_keys(model: ModelConfig) -> Set[str]:
    """Every key, for a custom network's function may read any; `widths` only if it is set."""
    unused = {"init_sd", "head_sd", *(["widths"] if model.widths is None else [])}
    return {f.name for f in fields(ModelConfig)} - unused


MODELS: dict[str, Model] = {
    "fc": Model(
        "fully connected: 3 hidden layers of 100",
        "bnbench.models.fc:FC",
        "bnbench.models.geometry:fc_geometry",
        _fc_keys,
        _fc_errors,
    ),
    "cnn": Model(
        "deep CNN: 19 conv layers of 4 * l channels, then 100 features",
        "bnbench.models.cnn:CNN",
        "bnbench.models.geometry:cnn_geometry",
        _cnn_keys,
        _cnn_errors,
    ),
}

CUSTOM_MODEL = Model(
    "your own network, model.factory=package.module:function",
    "bnbench.models.own:own_network",
    "bnbench.models.own:survey",
    _custom_keys,
    lambda model, norm: iter(()),
    blocks=False,
)
"""The entry of `model=custom`."""

ALL_MODELS = MODELS | {"custom": CUSTOM_MODEL}
"""Every model, by the name that `model=` takes."""
