"""Networks of one's own: `model=custom model.factory=bnbench.examples.network:residual`."""

from __future__ import annotations

from torch import Tensor, nn

from bnbench.config import ModelConfig


class Residual(nn.Module):
    """Two convs with batch norm, and the input added to what they put out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm1(self.conv1(x)))
        return self.relu(x + self.norm2(self.conv2(y)))  # type: ignore[no-any-return]


def residual(image_shape: tuple[int, int, int], classes: int, model: ModelConfig) -> nn.Module:
    """`model.depth` residual blocks of `model.width` channels.

    A network is a function of the images' shape (C, H, W), the number of classes and the `model` section. Every
    norm in it becomes the one that `norm=` chooses. Of layers, and of operations that keep channels apart, it is
    trained in packs; else alone.
    """
    channels, _, _ = image_shape
    return nn.Sequential(
        nn.Conv2d(channels, model.width, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(model.width),
        nn.ReLU(),
        *[Residual(model.width) for _ in range(model.depth)],
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(model.width, classes),
    )


class Dense(nn.Module):
    """A conv whose output is put beside its input."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.conv = nn.Conv2d(channels, growth, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        from torch import cat

        return cat([x, self.conv(self.relu(self.norm(x)))], 1)


def dense(image_shape: tuple[int, int, int], classes: int, model: ModelConfig) -> nn.Module:
    """`model.depth` layers that each add `model.width` channels; concatenation mixes trials, so it is trained alone."""
    channels, _, _ = image_shape
    grown = [channels + layer * model.width for layer in range(model.depth + 1)]
    return nn.Sequential(
        *[Dense(before, model.width) for before in grown[:-1]],
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(grown[-1], classes),
    )
