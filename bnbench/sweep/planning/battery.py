"""The battery of sweeps that a norm is put through beside no norm, batch, layer and group norm, in Hydra's words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

OTHERS = ("none", "batch", "layer", "group")
"""What a norm is compared with."""

TUNED = {
    "sweep.until": "settled",
    "sweep.margin_pp": "1",
    "sweep.max_seeds": "16",
    "sweep.tuning_seeds": "[100,101]",
    "optimizer": "sgd",
    "optimizer.lr": "0.003,0.01,0.03,0.1,0.3,1",
    "training.steps": "300",
}
"""The words of a part that trains each norm at the learning rate that suits it, where the user types no other."""

_WINDOW = {"optimizer": "sgd", "training.steps": "300"}


@dataclass(frozen=True)
class Part:
    """One sweep of the battery.

    Attributes:
        name: What the command line calls it.
        axis: The key that it varies.
        title: What the card calls it.
        values: The axis's values, by the model that they are for, or "" for any.
        words: What is set besides, by key; wins over `TUNED`.
    """

    name: str
    axis: str
    title: str
    values: Mapping[str, str]
    words: Mapping[str, str]

    @property
    def windows(self) -> bool:
        """Whether it is about the learning rates that train, and not about accuracies at a tuned one."""
        return self.axis == "optimizer.lr"

    def overrides(self, own: list[str], other: list[str], model: str, typed: Mapping[str, str]) -> list[str]:
        """Its words on a command line, without its budget.

        Args:
            own: The words of the norm's own arm.
            other: The levels of the others.
            model: The model's name.
            typed: The words that the user typed, by key.
        """
        level = own[0].partition("=")[2]
        arms = json.dumps([own, *([f"norm={name}"] for name in other)])
        fixed = {
            "sweep.name": f"card_{self.name}",
            "sweep.question": f'"{self.title}: {level} beside {", ".join(other)}"',
            "sweep.compare": "[norm]",
            "sweep.contrasts": json.dumps([f"{level} - {name}" for name in other]),
            "sweep.axis": self.axis,
            self.axis: self.values.get(model, self.values.get("", "")),
        }
        usual = {**(_WINDOW if self.windows else TUNED), **self.words}
        useless = [key for key in TUNED if key not in _WINDOW] if self.windows else []
        return [
            *(f"{key}={value}" for key, value in usual.items() if key not in typed),
            *(word for key, word in typed.items() if key not in useless),
            *(f"{key}={value}" for key, value in fixed.items()),
            f"+hydra.sweeper.arms.norm={arms}",
        ]


PARTS = (
    Part("batch_size", "training.batch_size", "Batch size", {"": "1,2,8,60"}, {}),
    Part(
        "learning_rate",
        "optimizer.lr",
        "Learning rates that train",
        {"": "0.0003,0.001,0.003,0.01,0.03,0.1,0.3,1,3,10"},
        {"seed": "range(6)"},
    ),
    Part("depth", "model.depth", "Depth", {"fc": "1,6,12", "cnn": "7,13,19"}, {}),
    Part(
        "initial_weights",
        "model.init_gain",
        "Scale of the initial weights",
        {"": "0.1,1,10"},
        {"model.init": "kaiming_normal"},
    ),
    Part(
        "inputs",
        "data.scaling",
        "Scale and shift of the inputs",
        {"": "standard,unit,raw"},
        {"optimizer.lr": "0.0003,0.003,0.03,0.3"},
    ),
)
"""The battery, in the card's order."""
