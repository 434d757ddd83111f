"""From a recorded trial back to the configuration that gives it again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from bnbench.config import ALL_MODELS, ALL_NORMS, Config, ConfigError, Device, Engine, Trial, schema
from bnbench.data import DATASETS, OWN
from bnbench.record.names import Tag
from bnbench.record.results import Recorded, TrialResult
from bnbench.record.sweep_record import SweepRecord
from bnbench.record.version import __version__
from bnbench.sweep.planning.compose import set_values
from bnbench.sweep.planning.plan import DataLoader
from bnbench.tensors.device import has_gpu


@dataclass(frozen=True)
class Retraining:
    """A recorded trial, ready to be trained again.

    Attributes:
        recorded: As it was.
        config: Its configuration, rebuilt.
        trial: What that becomes here; of another key if it has other images, another torch or other numerics.
        checksum: Of its images here.
    """

    recorded: Recorded
    config: Config
    trial: Trial
    checksum: str

    @cached_property
    def alone(self) -> bool:
        """Whether it was trained as plain torch does, not in a pack; tried out where that was not recorded."""
        recorded = self.recorded.result.tags.get(Tag.ALONE)
        if recorded is not None or not self.trial.is_custom:
            return recorded == "true"
        from bnbench.packing.packability import packability

        return packability(self.trial).why_alone is not None


def prepare_retraining(recorded: Recorded, images: DataLoader, root: str | None = None) -> Retraining:
    """A recorded trial with all that is needed to train it again.

    Args:
        recorded: The trial.
        images: Loads its images.
        root: Where they are, if not where its sweep found them.

    Raises:
        ConfigError: If this bnbench does not know something that it needs.
        DataError: If its images are not to be had.
    """
    config = rebuild(recorded.result, recorded.origin, root=root)
    return Retraining(recorded, config, images.trial(config), images.load(config).checksum)


def rebuild(result: TrialResult, record: SweepRecord, *, root: str | None = None) -> Config:
    """The configuration that gives a recorded trial again.

    Its params define it and its recorded metrics name its targets; of the sweep's own configuration only the place
    of the images matters, which `root` replaces. What a GPU trained is for the CPU where there is no GPU.

    Raises:
        ConfigError: If it has a key, a value, a model, a norm or data that this bnbench does not know.
    """
    params = result.params
    for key, known_names in (("data", [*DATASETS, *OWN]), ("model", ALL_MODELS), ("norm", ALL_NORMS)):
        if params[key] not in known_names:
            raise ConfigError(f"trial {result.key} has {key}={params[key]}, unknown to bnbench {__version__}")
    values = {key if "." in key or key == "seed" else f"{key}.name": value for key, value in params.items()}
    data = record.asked.config["data"]
    values["training.device"] = params.get("training.device", Device.cpu) if has_gpu() else Device.cpu
    values["training.engine"] = params.get("training.engine", Engine.torch)  # once there was no other
    values |= {"data.root": root or data["root"], "data.path": data.get("path"), "data.download": data["download"]}
    heads = (key.partition("/val_acc_") for key in result.metrics)
    values["training.measures"] = params["training.measures"].split(",") if "training.measures" in params else []
    values["model.widths"] = (
        [int(width) for width in params["model.widths"].split(",")] if "model.widths" in params else None
    )
    values["training.targets"] = [float(target) for head, _, target in heads if head == "reached"]
    try:
        return set_values(schema(), values)
    except ConfigError as error:
        raise ConfigError(f"trial {result.key} is not one of bnbench {__version__}: {error}") from error
