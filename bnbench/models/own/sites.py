"""Where a network has norms or could have them: each place with its layer, its activation, and how it may change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from bnbench.config import ConfigError, Placement
from bnbench.models.norm_modules import NormFacts, norm_facts, own_channels
from bnbench.models.own.trace import Call, Trace, only_source, only_user

_SHAPES_ONLY = {
    *("dropout", "flatten", "reshape", "view", "permute", "transpose", "contiguous", "movedim", "squeeze", "unsqueeze"),
    *("to", "type", "float", "unflatten", "expand", "clone", "feature_dropout"),
}
"""Functions that change how values are stored, or leave some out: what is before and after them belongs together."""


@dataclass(frozen=True)
class Site:
    """A place for a norm, at one call of it.

    Attributes:
        path: Of the norm; at a place without one, of the layer that a norm would follow.
        kind: What stands there: "batch", "group", "instance", "layer", "rms", …; "none" where a norm could be put in.
        class_name: The class of the norm; empty where there is none.
        channels: How many channels it normalizes.
        shape: Of its input for one example.
        axis: Which axis of the input holds the channels: 1, or -1 as in (N, T, C).
        per_position: Whether it normalizes each position (pixel, token) by itself, as layer norm of tokens does.
        layer: The path of the linear or conv layer before it; its class where that is no attribute; empty without one.
        before: The activation between that layer and the norm; empty without one.
        after: The activation after the norm; empty without one.
        inner: The attribute of the norm that holds an activation which the norm applies itself; empty without one.
        can_be_after: Whether `norm.placement=after` can put it behind the activation that follows it.
        can_be_before: Whether `norm.placement=before` can put it before the activation that it follows.
        why_not: Why neither can be; empty otherwise.
    """

    path: str
    kind: str
    class_name: str
    channels: int
    shape: tuple[int, ...]
    axis: int
    per_position: bool
    layer: str
    before: str
    after: str
    inner: str
    can_be_after: bool
    can_be_before: bool
    why_not: str

    @property
    def positions(self) -> int:
        """How many values one channel has in one example."""
        values = 1
        for size in self.shape:
            values *= size
        return values // self.channels

    @property
    def placement(self) -> Placement | None:
        """Where the norm stands, if it can be put on the other side of its activation."""
        if self.can_be_after:
            return Placement.before
        return Placement.after if self.can_be_before else None

    def under(self, prefixes: Iterable[str]) -> bool:
        """Whether it is one of these paths, or lies in the part of the network that one of them names."""
        return any(self.path == prefix or self.path.startswith(f"{prefix}.") for prefix in prefixes)


def find_sites(found: Trace, source: str) -> list[Site]:
    """The places of a network's norms, in the order of its forward pass; of a network without any, where they could be.

    Args:
        found: The network's trace.
        source: Which function made it, for errors: `model.factory=…`.

    Raises:
        ConfigError: If a norm cannot be replaced; one line that says which line of which forward, and what to write.
    """
    if found.hidden:
        raise ConfigError(hidden_norm(found.hidden[0], source))
    norms = found.of("norm")
    return [_of_norm(call, found, source) for call in norms] or [*_without_norms(found)]


def hidden_norm(call: Call, source: str) -> str:
    """The error for a norm that is called where `norm=` cannot take its place."""
    where = f" ({call.line})" if call.line else ""
    if call.module is None:
        kind = "".join(part.capitalize() for part in call.name.split("_"))
        kind += "2d" if kind in ("BatchNorm", "InstanceNorm") else ""
        return (
            f"{source}: its forward calls {call.name}{where}, and norm= cannot take the place of a function; make a "
            f"module in __init__ (self.norm = torch.nn.{kind}(…)) and call that"
        )
    return (
        f"{source}: its forward uses a {call.name} that is no attribute of a module{where}, so that norm= cannot take "
        "its place; make it an attribute or put it in a torch.nn.ModuleList, and call that"
    )


def _of_norm(call: Call, found: Trace, source: str) -> Site:
    assert call.module is not None
    facts = norm_facts(call.module)
    if facts is None:  # a hand-written norm, which was found by what its forward calls
        function = found.formulas[call.module].removeprefix("native_")
        facts = NormFacts(function.removesuffix("_norm"), own_channels(call.module))
    [x, *_] = call.inputs
    axis, per_position = _channels_of(call, facts)
    channels = facts.channels or x.shape[axis]
    inner = _inner(call, source)
    before, after = _between(call)
    layer = _layer_before(before[-1] if before else call)
    follows = only_user(call, found)
    can_be_after = bool(inner) or (follows is not None and _can_defer(follows))
    can_be_before = not can_be_after and _can_advance(call, found)
    if inner:
        after = [call.inner[0]]
    return Site(
        path=call.path,
        kind=facts.kind,
        class_name=call.name,
        channels=channels,
        shape=tuple(x.shape[1:]),
        axis=axis,
        per_position=per_position,
        layer=layer,
        before=before[0].name if before else "",
        after=after[0].name if after else "",
        inner=inner,
        can_be_after=can_be_after,
        can_be_before=can_be_before,
        why_not="" if can_be_after or can_be_before else _why_not(call, follows),
    )


def _without_norms(found: Trace) -> Iterable[Site]:
    """The layers of a network without norms whose output goes into an activation and nowhere else."""
    paths = [call.path for call in found.of("layer")]
    for call in found.of("layer"):
        follows = only_user(call, found)
        if follows is None or follows.kind != "activation" or not call.path or paths.count(call.path) > 1:
            continue
        if any(user.name in {"mul", "__mul__", "__imul__", "mul_"} for user in follows.users):  # a gate
            continue
        assert isinstance(call.output, object)
        y = call.output
        assert y is not None
        linear = isinstance(call.module, nn.Linear)
        axis = -1 if linear and y.dim() > 2 else 1
        yield Site(
            path=call.path,
            kind="none",
            class_name="",
            channels=y.shape[axis],
            shape=tuple(y.shape[1:]),
            axis=axis,
            per_position=linear and y.dim() > 2,
            layer=call.path,
            before="",
            after=follows.name,
            inner="",
            can_be_after=_can_defer(follows),
            can_be_before=False,
            why_not="" if _can_defer(follows) else _in_place(follows),
        )


def _channels_of(call: Call, facts: NormFacts) -> tuple[int, bool]:
    """Which axis of a norm's input holds the channels, and whether each position is normalized by itself."""
    assert call.module is not None
    [x, *_] = call.inputs
    if facts.kind not in {"layer", "rms"} or isinstance(getattr(call.module, "features", None), int):
        return 1, False
    whole = getattr(call.module, "normalized_shape", (facts.channels,))
    if isinstance(whole, tuple | list) and len(whole) > 1:  # over positions too: (C, H, W)
        return 1, False
    plain = type(call.module).forward in (nn.LayerNorm.forward, nn.RMSNorm.forward)
    # Subclasses such as LayerNorm2d normalize over C of images (N, C, H, W).
    if x.dim() == 4 and not plain and x.shape[1] == facts.channels and not (x.shape[-1] == x.shape[1] and call.last):
        return 1, True
    return (-1, True) if x.dim() > 2 else (1, False)


def _inner(call: Call, source: str) -> str:
    """The attribute of a norm under which it keeps the activation that it applies itself."""
    if not call.inner:
        return ""
    [one, *more] = call.inner
    assert call.module is not None
    names = [name for name, child in call.module._modules.items() if child is not None and child is one.module]
    if more or not names:
        where = one.line or f"its {call.path}"
        raise ConfigError(
            f"{source}: {call.path} ({call.name}) applies {one.name} in its own forward ({where}), so that norm= "
            "cannot take its place; make the norm and the activation two modules"
        )
    return names[0]


def _between(call: Call) -> tuple[list[Call], list[Call]]:
    """The activation right before a norm and the one right after it, as far as there are any."""
    source = _through(only_source(call), forward=False)
    user = _through(call.users[0] if len(call.users) == 1 else None, forward=True)
    return (
        [source] if source is not None and source.kind == "activation" else [],
        [user] if user is not None and user.kind == "activation" else [],
    )


def _through(call: Call | None, *, forward: bool) -> Call | None:
    """The first call from this one on that does more than change how values are stored."""
    while call is not None and call.kind == "function" and call.name in _SHAPES_ONLY:
        call = (call.users[0] if len(call.users) == 1 else None) if forward else only_source(call)
    return call


def _layer_before(call: Call) -> str:
    source = _through(only_source(call), forward=False)
    if source is None:
        return ""
    if source.kind == "function":
        return source.name if source.name in {"linear", "conv1d", "conv2d", "conv3d"} else ""
    return source.path or source.name if source.kind == "layer" else ""


def _can_defer(call: Call) -> bool:
    """Whether a norm can be applied to what this activation puts out, where it is called."""
    return call.kind == "activation" and not (call.module is None and call.in_place)


def _can_advance(call: Call, found: Trace) -> bool:
    """Whether a norm can go before the activation whose output it normalizes: right behind a layer."""
    activation = only_source(call)
    if activation is None or activation.kind != "activation" or only_user(activation, found) is not call:
        return False
    layer = only_source(activation)
    if layer is None or layer.kind != "layer" or only_user(layer, found) is not activation or not layer.path:
        return False
    return sum(other.path == layer.path for other in found.of("layer")) == 1


def _why_not(call: Call, follows: Call | None) -> str:
    if follows is not None and follows.kind == "activation":
        return _in_place(follows)
    if follows is None:
        return "goes to several places" if len(call.users) > 1 else "is the output"
    return f"goes into {follows.path or follows.name}"


def _in_place(call: Call) -> str:
    where = f" ({call.line})" if call.line else ""
    return f"{call.name} is called in place{where}; write x = x.{call.name}()"
