"""What MLflow runs to serve a logged network: this file is copied into the model and imported when it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class Classifier(PythonModel):
    """Logits (N, classes) of images (N, C, H, W), which are bytes as the data set has them."""

    def load_context(self, context: PythonModelContext) -> None:
        from bnbench.training.weights import load_network

        self._network = load_network(Path(context.artifacts["weights"]))

    def predict(
        self, context: PythonModelContext, model_input: np.ndarray, params: dict[str, Any] | None = None
    ) -> np.ndarray:
        import torch

        logits: np.ndarray = self._network(torch.from_numpy(np.asarray(model_input))).numpy()
        return logits


set_model(Classifier())
