"""Builds the fast decoder (receive/spans.c) where there is a C compiler; without one the package is complete, and slower."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("plugwarden_collector/receive/spans.c")
LIBRARY = SOURCE.with_name("libspans.so")
FLAGS = ("-O3", "-shared", "-fPIC", "-Wall", "-Wextra")


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg, misc]
    """Hatchling calls it for wheels and for editable installations."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and put the library into the wheel."""
        compiler = shutil.which(os.environ.get("CC", "cc"))
        root = Path(self.root)
        library = root / LIBRARY
        library.unlink(missing_ok=True)
        if compiler is None:
            sys.stderr.write("no C compiler: spans are decoded the general way, several times slower\n")
            return
        draft = library.with_suffix(".new")
        subprocess.run([compiler, *FLAGS, "-o", str(draft), str(root / SOURCE), "-lm"], check=True, timeout=120)  # noqa: S603
        draft.replace(library)
        build_data["artifacts"].append(str(LIBRARY))
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"  # plain C, called through ctypes: any Python
