"""Builds the fast decoder (receive/decode/c/*.c) where there is a C compiler; without one the package is complete, and slower."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("plugwarden_collector/receive/decode")
LIBRARY = FOLDER / "libotlp.so"
FLAGS = ("-O3", "-shared", "-fPIC", "-Wall", "-Wextra")


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg, misc]
    """Hatchling calls it for wheels and for editable installations."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and put the library into the wheel."""
        compiler = shutil.which(os.environ.get("CC", "cc"))
        root = Path(self.root)
        (root / LIBRARY).unlink(missing_ok=True)
        if compiler is None:
            sys.stderr.write("no C compiler: spans and metrics are decoded the general way, several times slower\n")
            return
        try:
            compile_library(compiler, root / FOLDER / "c", root / LIBRARY)
        except (OSError, subprocess.SubprocessError) as error:
            sys.stderr.write(f"the C compiler failed, spans and metrics are decoded the general way: {error}\n")
            return
        build_data["artifacts"].append(str(LIBRARY))
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"  # plain C, called through ctypes: any Python


def compile_library(compiler: str, folder: Path, library: Path) -> None:
    """All of the folder's C in one library; it appears when it is complete."""
    draft = library.with_suffix(".new")
    sources = sorted(map(str, folder.glob("*.c")))
    subprocess.run([compiler, *FLAGS, "-o", str(draft), *sources, "-lm"], check=True, timeout=120)  # noqa: S603
    draft.replace(library)
