"""Training: packs of trials through Lightning."""

from bnbench.tensors.vision_ops import ensure_torchvision

ensure_torchvision()  # before Lightning, which imports torchvision
