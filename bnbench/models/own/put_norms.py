"""Gives a custom network the norms that `norm=` chooses, where `norm.placement` and `norm.without` want them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bnbench.config import ConfigError, NormConfig, Placement
from bnbench.models.dropout import Dropout
from bnbench.models.norm_modules import norm_facts
from bnbench.models.own.placed import Deferred, NormActivation, NormedLayer, Reshaped, apply_deferred
from bnbench.models.own.sites import Site
from bnbench.norms import make_norm
from bnbench.norms.channel_norm import ChannelNorm
from bnbench.norms.from_torch import norm_of

OWN = "own"
"""The value of `norm=` that leaves a network the norms it has."""

_ROWS = frozenset({"layer", "group", "rms", "custom"})
"""The norms that normalize a token by itself where the network's own norm does."""

_TOLERANCE = 1e-5
_EXAMPLES = 4


def put_norms(net: nn.Module, norm: NormConfig, sites: Sequence[Site], source: str, *, keep: bool) -> list[nn.Module]:
    """Put the chosen norm at every site, on as many channels, and bnbench's dropout in the place of torch's.

    If one norm is used at several places, one new norm is used at all of them, so that they still share parameters.
    No layer's name changes, so that networks with different norms draw the same initial weights.

    Args:
        net: The network, which is changed in place.
        norm: The norm; for `norm=none` norms are replaced by the identity, for `norm=own` they stay what they are.
        sites: The places for norms, from `find_sites` on a network of the same function.
        source: Which function made the network, for errors: `model.factory=…`.
        keep: Whether a new norm starts with those values of scale, shift and running statistics that the old one has.

    Returns:
        The norms that do not stand where the network calls them, and so must be seen to be reached.

    Raises:
        ConfigError: If a norm cannot be taken apart from the activation that it applies itself; one line.
    """
    put = _Putting(net, norm, source, keep)
    for path in dict.fromkeys(site.path for site in sites):
        put.at([site for site in sites if site.path == path])
    if norm.name != OWN:
        put.where_never_called({site.path for site in sites})
    put.dropout()
    put.replace()
    if put.deferred:
        apply_deferred(net)
    return put.moved


class _Putting:
    """The replacements in one network."""

    def __init__(self, net: nn.Module, norm: NormConfig, source: str, keep: bool) -> None:
        self.net, self.norm, self.source, self.keep = net, norm, source, keep
        self.new: dict[nn.Module, nn.Module] = {}
        self.moved: list[nn.Module] = []
        self.deferred = False
        self._left_out = norm.without.split("+") if norm.without else []

    def at(self, calls: Sequence[Site]) -> None:
        """Put the norm at one place, which the network calls once or more often."""
        site = calls[0]
        old = self.net.get_submodule(site.path)
        if site.kind == "none":
            self._insert(site, old)
            return
        activation = old._modules[site.inner] if site.inner else None
        after = self.norm.placement == Placement.after and all(one.can_be_after for one in calls)
        before = self.norm.placement == Placement.before and all(one.can_be_before for one in calls)
        new: nn.Module | None = None
        if self.norm.name == OWN and not site.under(self._left_out):
            new = self._own(old, site, activation, taken_apart=after and activation is not None)
        elif not site.under(self._left_out):
            new = self._chosen(site, old)
        if new is None:
            self.new[old] = nn.Identity() if activation is None else activation
        elif activation is not None:
            self.new[old] = old if new is old else NormActivation(new, activation, after=after)
        elif after:
            self._defer(new)
            self.new[old] = Deferred(new)
        elif before:
            layer = self.net.get_submodule(site.layer)
            self.moved.append(new)
            self.new[old], self.new[layer] = nn.Identity(), NormedLayer(layer, new)
        else:
            self.new[old] = new

    def where_never_called(self, paths: set[str]) -> None:
        """Replace the norms that no forward pass has met, too: they may be used in training alone."""
        for path, module in self.net.named_modules():
            facts = norm_facts(module)
            if facts is not None and facts.channels is not None and path not in paths and module not in self.new:
                self.new[module] = make_norm(self.norm, facts.channels) or nn.Identity()

    def dropout(self) -> None:
        """Replace torch's dropout by bnbench's."""
        for module in self.net.modules():
            if type(module) is nn.Dropout:
                self.new[module] = Dropout(module.p) if module.p else _no_dropout()

    def replace(self) -> None:
        """Put everything new where the old modules are, under all names that these have."""
        for module in [*self.net.modules()]:
            for name, child in [*module._modules.items()]:  # named_children() would give an object only once
                if child in self.new:
                    module._modules[name] = self.new[child]

    def _insert(self, site: Site, layer: nn.Module) -> None:
        if site.under(self._left_out):
            return
        new = self._chosen(site, None)
        if new is None:
            return
        if self.norm.placement == Placement.after and site.can_be_after:
            self._defer(new)
            new = Deferred(new)
        self.new[layer] = NormedLayer(layer, new)

    def _defer(self, norm: nn.Module) -> None:
        self.moved.append(norm)
        self.deferred = True

    def _chosen(self, site: Site, old: nn.Module | None) -> nn.Module | None:
        new = make_norm(self.norm, site.channels)
        if new is None:
            return None
        if old is not None:
            self._take_over(new, old)
        rows = site.per_position and self.norm.name in _ROWS
        return _fitted(new, site, per_position=rows)

    def _own(self, old: nn.Module, site: Site, activation: nn.Module | None, *, taken_apart: bool) -> nn.Module:
        """The network's own norm, as one of bnbench's where that is the same."""
        plain = type(old) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d)
        flat = len(site.shape) in (1, 3) and not site.per_position
        if (plain and flat) or activation is not None:
            norm = norm_of(old, site.kind, site.channels)
            new = None if norm is None else _fitted(norm, site, per_position=site.per_position)
            if norm is not None and new is not None and (plain or _same(old, norm, new, activation, site)):
                self._take_over(norm, old)
                return new
        if taken_apart:
            raise ConfigError(
                f"{self.source}: {site.path} ({site.class_name}) applies {site.after} itself and computes something "
                "else than its base class, so that norm.placement cannot change their order; make them two modules"
            )
        reset = getattr(old, "reset_parameters", None)
        if not self.keep and callable(reset):
            reset()
        return old

    def _take_over(self, new: nn.Module, old: nn.Module) -> None:
        if self.keep:
            _copy_values(new, old)
        _freeze_parameters(new, old)


def _no_dropout() -> nn.Module:
    """The identity, with the probability that a forward may ask for."""
    identity = nn.Identity()
    identity.p = 0.0  # type: ignore[assignment]
    return identity


def _fitted(norm: nn.Module, site: Site, *, per_position: bool) -> nn.Module:
    """The norm for inputs of a site's shape."""
    if len(site.shape) in (1, 3) and site.axis == 1 and not per_position:
        return norm
    return Reshaped(norm, site.axis, per_position)


def _same(old: nn.Module, norm: ChannelNorm, new: nn.Module, activation: nn.Module | None, site: Site) -> bool:
    """Whether a subclass computes what its base class does, and then its activation, in training and in evaluation."""
    old, filled = copy.deepcopy(old), copy.deepcopy(new)
    [bare] = [module for module in filled.modules() if type(module) is type(norm)]
    x = torch.randn(_EXAMPLES, *site.shape, generator=torch.Generator().manual_seed(0))
    act: Callable[[Tensor], Tensor] = copy.deepcopy(activation) if activation is not None else nn.Identity()
    _copy_values(bare, old)
    with torch.no_grad():
        for training in (True, False):
            expected, actual = old.train(training)(x.clone()), act(filled.train(training)(x.clone()))
            if not torch.allclose(expected, actual, atol=_TOLERANCE, rtol=_TOLERANCE):
                return False
    return True


def _copy_values(new: nn.Module, old: nn.Module) -> None:
    """Copy the values of the parameters and buffers that both have, by name, from `old` to `new`."""
    values = dict([*old.named_parameters(), *old.named_buffers()])
    with torch.no_grad():
        for name, value in (*new.named_parameters(), *new.named_buffers()):
            if name in values and values[name].shape == value.shape:
                value.copy_(values[name])


def _freeze_parameters(new: nn.Module, old: nn.Module) -> None:
    """Freeze the parameters of `new` whose namesakes in `old` are frozen (requires_grad=False)."""
    frozen = {name for name, parameter in old.named_parameters() if not parameter.requires_grad}
    for name, parameter in new.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
