"""What hatchling runs while it builds bnbench's wheel: it compiles the kernels and puts them in, with a platform's tag.

Without kernels the wheel is one for every platform. An editable install finds them in the checkout.
"""

from __future__ import annotations

import runpy
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class LanesHook(BuildHookInterface[BuilderConfig]):
    """Compiles the kernels into the checkout for an editable install, into a folder of its own for a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, say what came of it, and tell hatchling what the wheel holds."""
        lanes = Path(self.root, "bnbench", "lanes")
        compiling = runpy.run_path(str(lanes / "compiling.py"))  # bnbench cannot be imported yet
        folder = lanes / "lib"
        if version != "editable":
            self._folder = tempfile.TemporaryDirectory()
            folder = Path(self._folder.name)
        problem = compiling["compile_libraries"](lanes / "src", folder)
        if problem:
            self.app.display_warning(f"bnbench is built without kernels of its own (torch does their work): {problem}")
        else:
            self.app.display_info("bnbench is built with kernels: " + ", ".join(compiling["libraries"]()))
        if version != "editable":
            build_data["force_include"] |= {str(path): f"bnbench/lanes/lib/{path.name}" for path in folder.iterdir()}
            if not problem:
                platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
                build_data["pure_python"], build_data["tag"] = False, f"py3-none-{platform}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what the wheel now holds."""
        if version != "editable":
            self._folder.cleanup()
