"""torchvision's networks for small images: `model=custom model.factory=bnbench.examples.vision:resnet18`."""

from __future__ import annotations

from bnbench.tensors.vision_ops import ensure_torchvision

ensure_torchvision()

from torch import nn  # noqa: E402
from torchvision.models import resnet  # noqa: E402
from torchvision.models.vgg import cfgs, make_layers  # noqa: E402

from bnbench.config import ModelConfig  # noqa: E402

_VGG_SIDE = 32  # pixels that its five poolings halve to one


def resnet18(image_shape: tuple[int, int, int], classes: int, model: ModelConfig) -> nn.Module:
    """torchvision's ResNet-18, but for the images' channels; 20 norms.

    References:
        He, Zhang, Ren & Sun (2016), arXiv:1512.03385.
    """
    net: nn.Module = resnet.resnet18(num_classes=classes)
    net.conv1 = nn.Conv2d(image_shape[0], 64, 7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision draws the others
    return net


def vgg11_bn(image_shape: tuple[int, int, int], classes: int, model: ModelConfig) -> nn.Module:
    """torchvision's VGG-11 with 8 norms, on images of up to 32 x 32, with one linear layer on its 512 features.

    Smaller images get black margins. The classifier for large ones has 120 million weights; this network has 9.

    References:
        Simonyan & Zisserman (2015), arXiv:1409.1556.
    """
    channels, height, width = image_shape
    if max(height, width) > _VGG_SIDE:
        raise ValueError(f"images are {height} x {width}; they may have {_VGG_SIDE} x {_VGG_SIDE} pixels")
    features = make_layers(cfgs["A"], batch_norm=True)
    features[0] = nn.Conv2d(channels, 64, 3, padding=1)
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    down, right = _VGG_SIDE - height, _VGG_SIDE - width
    margin = nn.ZeroPad2d((right // 2, right - right // 2, down // 2, down - down // 2))
    return nn.Sequential(margin, *features, nn.Flatten(), nn.Linear(512, classes))
