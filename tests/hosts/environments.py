"""A virtual environment for each set of packages, under build/hosts, kept between runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

__all__ = ["FOLDER", "EnvironmentFailedError", "build", "sidecar_hash"]

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build/hosts"
"""Ignored by git, and deleted by `make clean`."""
BUILD_SECONDS = 900


class EnvironmentFailedError(Exception):
    """An environment could not be built; its text says why and what to do."""


def build(name: str, requires: Sequence[str]) -> Path:
    """The Python of an environment with these packages and the sidecar of this folder; raises `EnvironmentFailedError`.

    It is built when it is not there, or was built for other packages or another sidecar.
    """
    folder = FOLDER / "environments" / name
    python = folder / "bin/python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    packages, sidecar = "\n".join([sys.version, *requires]), sidecar_hash()
    if _stamp(folder, "packages") != packages:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _run(name, requires, [sys.executable, "-m", "venv", str(folder)])
        # Together, so that what the host pins and what the sidecar needs have to agree, as for whoever adds it to a host.
        _run(name, requires, [*install, *requires, str(_wheel(sidecar))])
    elif _stamp(folder, "sidecar") != sidecar:
        _run(name, requires, [*install, "--force-reinstall", "--no-deps", str(_wheel(sidecar))])
    for stamp, text in (("packages", packages), ("sidecar", sidecar)):
        (folder / f"built-for-{stamp}").write_text(text, "utf-8")
    return python


def _wheel(sidecar: str) -> Path:
    """The sidecar of this folder, built once for all environments: each would fetch the tools and compile anew, for half its time."""
    folder = FOLDER / "wheels" / sidecar[:16]
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=folder.parent))
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
        _run("the sidecar", [str(ROOT / "sidecar")], [*pip, "--wheel-dir", str(draft), str(ROOT / "sidecar")])
        try:
            draft.rename(folder)
        except OSError:  # another run was faster
            shutil.rmtree(draft, ignore_errors=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _stamp(folder: Path, name: str) -> str | None:
    try:
        return (folder / f"built-for-{name}").read_text("utf-8")
    except OSError:
        return None


def _run(name: str, requires: Sequence[str], command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise EnvironmentFailedError(
            f"{name}: pip took longer than {BUILD_SECONDS} s; is the package index reachable?"
        ) from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise EnvironmentFailedError(
            f"{name}: {' '.join(requires)} cannot be installed: {' '.join(said)[-400:]} "
            f"(once it can, `make hosts ARGS='--only {name}'` tries this one alone)"
        )


def sidecar_hash() -> str:
    """What tells one sidecar from another: its sources and how it is built."""
    digest = sha256()
    for path in sorted((ROOT / "sidecar").rglob("*")):
        if path.suffix in {".py", ".toml", ".c", ".h"}:
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()
