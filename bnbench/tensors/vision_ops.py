"""Makes `import torchvision` work beside a torch of another build, such as a CPU one."""

from __future__ import annotations

from functools import cache
from typing import Any

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_declared: list[Any] = []  # torch.library.Library objects: one that is collected takes its schemas with it


@cache
def ensure_torchvision() -> None:
    """Import torchvision, declaring the two operators its Python code registers against if they are missing.

    torchvision's compiled operators do not load beside a torch of another build, and its import then
    fails with "operator torchvision::nms does not exist". bnbench uses only its data sets, transforms
    and models, which are Python: the schemas alone are enough. PyTorch Lightning imports torchvision too,
    so this comes before it.
    """
    import torch

    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for schema in _SCHEMAS.values():
            library.define(schema)  # type: ignore[no-untyped-call]
        _declared.append(library)
        _forget_failed_import()
        import torchvision  # noqa: F401


def _forget_failed_import() -> None:
    import sys

    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
