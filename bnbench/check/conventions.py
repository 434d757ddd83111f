"""What released frameworks' own batch norms do where they do not agree, for `--like`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Convention:
    """The choices of one framework.

    Attributes:
        layer: Whose they are.
        momentum: Whether the setting of that name weighs the "new" batch or the "old" statistics.
        divisor_2d, divisor_4d: Of the variance that is blended, for (N, C) and for images.
        start: The statistics before any step: mean and variance.
        kind: How batches are weighed: "average", or "debiased".
    """

    layer: str
    momentum: str
    divisor_2d: str
    divisor_4d: str
    start: tuple[float, float] = (0.0, 1.0)
    kind: str = "average"

    def divisor(self, axes: int) -> str:
        """The divisor for inputs of so many axes."""
        return self.divisor_4d if axes > 3 else self.divisor_2d


CONVENTIONS = {
    "torch": Convention("torch.nn.BatchNorm", "new", "N - 1", "N - 1"),
    "keras": Convention("keras.layers.BatchNormalization", "old", "N", "N"),
    "flax": Convention("flax.linen.BatchNorm", "old", "N", "N"),
}
"""By the name of the framework; what its own layer was found to do stands on the page `frameworks`."""
