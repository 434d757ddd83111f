"""Batch norms that crash, hang, refuse or cannot be made: harmless, and for the guards around what is checked."""

from __future__ import annotations

import os
import time

import torch
from torch import Tensor, nn


class EndsItsProcess(nn.BatchNorm1d):
    """It ends its process in evaluation, as a crash in a kernel would."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            os._exit(7)
        return super().forward(x)


class Aborts(nn.BatchNorm1d):
    """It is ended by a signal, at once."""

    def forward(self, x: Tensor) -> Tensor:
        os.abort()


class Sleeps(nn.BatchNorm1d):
    """It gives no answer on an empty batch."""

    def forward(self, x: Tensor) -> Tensor:
        if not len(x):
            time.sleep(600)
        return super().forward(x)


class Prints(nn.BatchNorm1d):
    """It prints what could be taken for an answer."""

    def forward(self, x: Tensor) -> Tensor:
        print('{"refused": "printed"}', flush=True)
        return super().forward(x)


class WritesIntoItsInput(nn.BatchNorm1d):
    """It centres its input in place."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x.data.sub_(x.data.mean(0))
        return super().forward(x)


class NeedsMore(nn.BatchNorm1d):
    """It cannot be made without an argument that nobody can guess."""

    def __init__(self, features: int, temperature: float) -> None:
        super().__init__(features, eps=temperature)


def makes_a_layer(channels: int, momentum: float = 0.2) -> nn.Module:
    return nn.BatchNorm1d(channels, momentum=momentum)


NUMBER = 3
