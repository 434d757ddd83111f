"""Logs a trained network as an MLflow model, with its signature and what it needs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from mlflow import pyfunc
from mlflow.entities import LoggedModelOutput
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from bnbench.config import environment
from bnbench.tracking.connect import Connection

_NEEDED = ("bnbench", "torch", "numpy")


def log_model(connection: Connection, run_id: str, weights: Path, tags: Mapping[str, str]) -> str:
    """The id of the new model.

    Nothing is pickled: the model is a file of weights and the code in `served_model`, which builds the network and
    loads them.

    Args:
        connection: The open store.
        run_id: The run whose output it is.
        weights: The file that `training.weights.save_network` wrote.
        tags: What it says of itself.
    """
    from bnbench.training.weights import load_network  # torch: only where a model is logged

    client = connection.client
    network = load_network(weights)
    precision = np.dtype(str(network.scale.dtype).removeprefix("torch."))
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, *network.shape))]),
        outputs=Schema([TensorSpec(precision, (-1, network.classes))]),
    )
    versions = environment.versions()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        pyfunc.save_model(
            path,
            python_model=str(Path(__file__).with_name("served_model.py")),
            artifacts={"weights": str(weights)},
            signature=signature,
            input_example=np.zeros((1, *network.shape), np.uint8),
            pip_requirements=[f"{name}=={versions[name]}" for name in _NEEDED],  # inferring them takes 12 s
        )
        model = client.create_logged_model(
            connection.experiment_id, name="best", source_run_id=run_id, tags={**tags}, model_type="classifier"
        )
        client.log_model_artifacts(model.model_id, str(path))
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
    return str(model.model_id)
