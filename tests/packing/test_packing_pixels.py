"""Conv layers on 1x1 maps, trained by their kernel's middle alone: found, right, and whole again when asked for."""

import copy

import pytest
import torch
from torch import nn

from bnbench.packing.leaves import FoldedConv2d, FoldedPixelConv2d
from bnbench.packing.pack import pack
from bnbench.packing.pixels import single_pixel_layers
from bnbench.tensors.seeding import generator


def network(seed: int) -> nn.Sequential:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1),  # 4x4 to 2x2
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, stride=2, padding=1),  # to 1x1
        nn.ReLU(),
        nn.Conv2d(4, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 5, padding=4, dilation=2),
        nn.Conv2d(8, 8, 3, padding=1, groups=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    ).double()
    with torch.no_grad():
        for i, parameter in enumerate(net.parameters()):
            parameter.copy_(torch.randn(parameter.shape, dtype=torch.float64, generator=generator(seed, i)) / 4)
    return net


def test_layers_whose_every_input_is_a_pixel_are_found_and_the_network_is_left_alone():
    net = network(0)
    before = copy.deepcopy(net.state_dict())
    assert single_pixel_layers(net, (1, 4, 4)) == {"4", "7"}, "not those with larger maps or with groups"
    assert single_pixel_layers(net, (1, 8, 8)) == frozenset()
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("N", [2, 5, 17])
def test_a_pack_with_pixels_is_the_lone_networks_forward_and_backward(N):
    nets = [network(k) for k in range(4)]
    packed = pack(nets, single_pixel_layers(nets[0], (1, 4, 4)))
    kinds = [type(module) for module in packed.net.modules()]
    assert kinds.count(FoldedPixelConv2d) == 2
    assert kinds.count(FoldedConv2d) == 3
    images = torch.randn(4, N, 1, 4, 4, dtype=torch.float64, generator=generator(9))
    upstream = torch.randn(4, 3, N, dtype=torch.float64, generator=generator(10))
    packed(packed.fold(images, torch.float64)).backward(upstream)
    gradients = {name: p.grad for name, p in packed.net.named_parameters()}
    for k, net in enumerate(nets):
        net(images[k]).backward(upstream[k].t())
        for name, parameter in net.named_parameters():
            expected = parameter.grad
            assert expected is not None
            if name in {"4.weight", "7.weight"}:
                middle = expected[:, :, expected.shape[2] // 2, expected.shape[3] // 2]
                assert torch.count_nonzero(expected) == torch.count_nonzero(middle), "the rest never has a gradient"
                expected = middle
            torch.testing.assert_close(gradients[name][k], expected, rtol=1e-10, atol=1e-12)


def test_the_state_has_whole_kernels_with_the_trained_middle():
    nets = [network(k) for k in range(4)]
    packed = pack(nets, single_pixel_layers(nets[0], (1, 4, 4)))
    for k, net in enumerate(nets):
        state = packed.slot_state(k)
        assert {name: tuple(v.shape) for name, v in state.items()} == {
            name: tuple(v.shape) for name, v in net.state_dict().items() if "num_batches" not in name
        }
        for name, value in state.items():
            torch.testing.assert_close(value, net.state_dict()[name], rtol=0, atol=0)
    with torch.no_grad():
        packed.net[4].weight.add_(1)
    moved = packed.slot_state(2)["4.weight"] - nets[2].state_dict()["4.weight"]
    expected = torch.zeros(3, 3, dtype=torch.float64)
    expected[1, 1] = 1
    torch.testing.assert_close(moved, expected.expand_as(moved), rtol=0, atol=1e-15)
