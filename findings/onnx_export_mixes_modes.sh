#!/usr/bin/env bash
# Versions: torch 2.13.0, onnx 1.23.2, onnxscript 0.7.2, onnx-ir 1.1.0, numpy 2.4.6, with Python 3.11.
#
# ONNX's BatchNormalization has training_mode and its Dropout has the input training_mode. torch.onnx.export warns
# of a module in training mode that this "may lead to different behavior". One would guess that the exported
# graph is in training mode throughout, or, failing that, in inference mode throughout.
# Instead, it is in both. Batch norm is exported in its inference form (BatchNormalization without training_mode,
# or with optimize=True folded into the Linear before it), with the moving statistics of that moment, whereas
# Dropout is exported in its training form and drops at random in every run. The exported net thus agrees with the
# module in neither mode. The older exporter (dynamo=False with TrainingMode.TRAINING) does write training_mode=1.
#
# Output seen:
#   optimize=True: Gemm, Dropout with training_mode
#   optimize=False: Gemm, BatchNormalization, Dropout with training_mode
#   values dropped: 0.50; the kept ones are off the batch statistics by 5.8, off the moving ones by 9.5e-07
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
    torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 onnx-ir==1.1.0 numpy==2.4.6
"$dir/venv/bin/python" -W ignore - 2> "$dir/log" <<'PYTHON' || { cat "$dir/log" >&2; exit 1; }
import numpy as np
import torch
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

torch.manual_seed(0)
linear, norm, dropout = torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5)
net = torch.nn.Sequential(linear, norm, dropout).train()
x = torch.randn(64, 3) * 3 + 2

for optimize in True, False:
    model = torch.onnx.export(net, (x,), dynamo=True, optimize=optimize, verbose=False).model_proto
    nodes = {node.op_type: node for node in model.graph.node}
    assert list(nodes) == ["Gemm", "Dropout"] if optimize else "BatchNormalization" in nodes
    constants = (node for node in model.graph.node if node.op_type == "Constant")
    values = {node.output[0]: numpy_helper.to_array(node.attribute[0].t) for node in constants}
    values |= {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert values[nodes["Dropout"].input[2]].item() is True
    names = [name for name in nodes if name != "Constant"]
    print(f"optimize={optimize}: {', '.join(names)} with training_mode")
assert all(attribute.name != "training_mode" for attribute in nodes["BatchNormalization"].attribute)

(output,) = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: x.numpy()})
kept = output != 0
with torch.no_grad():
    moving = norm.eval()(linear(x)).numpy() * 2  # Dropout of 0.5 doubles what it keeps
    batch = norm.train()(linear(x)).numpy() * 2
off_batch, off_moving = np.abs(output - batch)[kept].max(), np.abs(output - moving)[kept].max()
print(
    f"values dropped: {1 - kept.mean():.2f}; the kept ones are off the batch statistics by {off_batch:.1f}, "
    f"off the moving ones by {off_moving:.1e}"
)
assert 0.3 < kept.mean() < 0.7 and off_batch > 0.5 and off_moving < 1e-4
PYTHON
