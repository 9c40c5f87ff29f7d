"""Builds the way of a plain call (shim/c/*.c) where C and Python's headers are; without them the package is complete, and slower."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("plugwarden/shim")
FLAGS = ("-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-Wno-cast-function-type")


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg, misc]
    """Hatchling calls it for wheels and for editable installations."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and put the library into the wheel."""
        root = Path(self.root)
        library = FOLDER / f"native{sysconfig.get_config_var('EXT_SUFFIX')}"
        (root / library).unlink(missing_ok=True)
        why = _cannot(compiler := shutil.which(os.environ.get("CC", "cc")))
        if why is None:
            try:
                compile_library(str(compiler), root / FOLDER / "c", root / library)
            except (OSError, subprocess.SubprocessError) as error:
                why = f"the C compiler failed: {error}"
        if why is not None:
            sys.stderr.write(f"{why}: a wrapped call takes the general way, twice as long\n")
            return
        build_data["artifacts"].append(str(library))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True  # it goes by Python's own structures: this interpreter, this platform


def _cannot(compiler: str | None) -> str | None:
    if compiler is None:
        return "no C compiler"
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "this Python has no lock that one step of C is made under"
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "Python's headers are not installed"
    return None


def compile_library(compiler: str, folder: Path, library: Path) -> None:
    """All of the folder's C in one library; it appears when it is complete."""
    draft = library.with_suffix(".new")
    sources = sorted(map(str, folder.glob("*.c")))
    headers = f"-I{sysconfig.get_path('include')}"
    late = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []  # the interpreter brings what it uses
    subprocess.run([compiler, *FLAGS, headers, *late, "-o", str(draft), *sources], check=True, timeout=120)  # noqa: S603
    draft.replace(library)
