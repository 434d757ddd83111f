"""What there is to choose from, sweeps to data sets, each in a line; imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from bnbench.claims import load_claims
from bnbench.config import ALL_MODELS, ALL_NORMS, ConfigError
from bnbench.config.optimizer_catalog import OPTIMIZERS
from bnbench.config.schedule_catalog import SCHEDULES
from bnbench.data import DATASETS, OWN


def listing(conf_dirs: Sequence[Path]) -> str:
    """Every sweep, experiment, claim, model, norm, optimizer, schedule and data set, by the word that chooses it.

    Args:
        conf_dirs: Folders of configuration files. A sweep in one hides those of the same name in later ones,
            as it does for Hydra.

    Raises:
        ConfigError: If one of them is not a folder.
    """
    sections = {
        "sweeps, +sweep=NAME": questions(conf_dirs, "sweep"),
        "experiments, +experiment=NAME": questions(conf_dirs, "experiment"),
        "claims, claims NAME": {id: f"Batch norm {claim.title}" for id, claim in load_claims(conf_dirs).items()},
        "models, model=NAME": {name: model.summary for name, model in ALL_MODELS.items()},
        "norms, norm=NAME": {name: norm.summary for name, norm in ALL_NORMS.items()},
        "optimizers, optimizer=NAME": {name: optimizer.summary for name, optimizer in OPTIMIZERS.items()},
        "schedules, schedule=NAME": {name: schedule.summary for name, schedule in SCHEDULES.items()},
        "data, data=NAME": {name: info.summary for name, info in (DATASETS | OWN).items()},
    }
    width = max(len(name) for section in sections.values() for name in section)
    return "\n\n".join("\n".join([title, *_rows(section, width)]) for title, section in sections.items())


def _rows(section: Mapping[str, str], width: int) -> Iterator[str]:
    for name, summary in section.items():
        yield f"  {name:<{width}}  {summary}".rstrip()


def questions(conf_dirs: Sequence[Path], group: str) -> dict[str, str]:
    """Each file's question by its name, read from the files without Hydra, which would take a second."""
    by_name: dict[str, str] = {}
    for folder in conf_dirs:
        if not folder.is_dir():
            raise ConfigError(f"--config-dir {folder} is not a folder; give one that has sweep/*.yaml in it")
        for file in sorted((folder / group).glob("*.yaml")):
            by_name.setdefault(file.stem, _question(file))
    return by_name


def _question(file: Path) -> str:
    """What a sweep file says it asks; a file that cannot be read is listed with the reason, not left out."""
    try:
        text = file.read_text(encoding="utf-8")
        config = OmegaConf.create(text)
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        return f"({file} cannot be read: {' '.join(str(error).split())})"
    question = OmegaConf.select(config, "sweep.question") if isinstance(config, DictConfig) else None
    return str(question) if question else _header(text)


def _header(text: str) -> str:
    """The first line of a file's opening comment, packages apart."""
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        words = line.lstrip("# ")
        if words and not words.startswith("@package"):
            return words
    return ""
