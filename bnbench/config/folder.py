"""Finds the folder of configuration files: in the installed package, or at the top of a checkout."""

from __future__ import annotations

from pathlib import Path


def conf_dir() -> Path:
    """The folder that holds `config.yaml`.

    Raises:
        FileNotFoundError: If neither place holds it.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise FileNotFoundError(f"bnbench's configuration files are missing from {package}; install it again")
