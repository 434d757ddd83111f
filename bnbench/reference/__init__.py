"""The oracles: normalizations in NumPy, as in the papers, by which other implementations are judged.

They are slow, plain and independent of torch. They compute in the precision of their input, which should be double.
`gamma` and `beta` are the papers' names of what torch calls `weight` and `bias`, and `momentum` is always the weight of
the *new* batch.
"""

from bnbench.reference.batch_norm import BatchNormCache, batchnorm_backward, batchnorm_forward
from bnbench.reference.batch_renorm import batch_renorm, renorm_correction
from bnbench.reference.filter_response_norm import filter_response_norm
from bnbench.reference.ghost_batch_norm import ghost_batch_norm
from bnbench.reference.group_norm import group_norm
from bnbench.reference.instance_norm import instance_norm
from bnbench.reference.layer_norm import layer_norm
from bnbench.reference.online_norm import (
    OnlineNormState,
    online_norm_backward,
    online_norm_forward,
    online_norm_state,
)
from bnbench.reference.rms_norm import rms_norm
from bnbench.reference.spatial_batch_norm import spatial_batchnorm_backward, spatial_batchnorm_forward
from bnbench.reference.state import (
    BatchNormState,
    decay_to_momentum,
    momentum_to_decay,
    torch_state,
    tutorial_state,
)
from bnbench.reference.tensorflow_functions import batch_norm_with_global_normalization, batch_normalization, moments
from bnbench.reference.weight_standardization import weight_standardization

__all__ = [
    "BatchNormCache",
    "BatchNormState",
    "OnlineNormState",
    "batch_norm_with_global_normalization",
    "batch_normalization",
    "batch_renorm",
    "batchnorm_backward",
    "batchnorm_forward",
    "decay_to_momentum",
    "filter_response_norm",
    "ghost_batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "moments",
    "momentum_to_decay",
    "online_norm_backward",
    "online_norm_forward",
    "online_norm_state",
    "renorm_correction",
    "rms_norm",
    "spatial_batchnorm_backward",
    "spatial_batchnorm_forward",
    "torch_state",
    "tutorial_state",
    "weight_standardization",
]
