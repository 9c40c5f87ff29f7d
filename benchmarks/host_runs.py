"""What whole runs of real plugin hosts cost with every plugin call wrapped, beside the same runs without.

flake8, bandit and pytest are installed, unchanged, in an environment of its own and started as `docs/how-to/run.md` has it:
`python -m plugwarden run --file … -- python -m host`. They make many tiny calls of plugins, which is what costs most. With and
without take turns, on the same input; CPU is that of the whole process, its end included; medians over the rounds. A sink in
this process takes what is sent.

`--folder DIR` keeps the environment for the next time; `--sidecar DIR` takes the sidecar from another checkout, so that two
can be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from load.sink import sink

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 7
PACKAGES = ("flake8==7.5.0", "flake8-bugbear==26.10.27", "bandit==1.9.4", "pytest==9.2.0", "pytest-mock==3.17.0")
TESTS = 2_000
TEST_FILE = f"""import pytest

@pytest.mark.parametrize("n", range({TESTS}))
def test_it(n):
    assert n >= 0
"""
HOST_FILES = {
    "flake8": """
[[entry_points]]
group = "flake8.extension"
[[callable]]
target = "flake8.plugins.pyflakes:FlakesChecker.run"
[[callable]]
target = "bugbear:BugBearChecker.run"
[[callable]]
target = "mccabe:McCabeChecker.run"
""",
    "bandit": """
[[entry_points]]
group = "bandit.plugins"
""",
    "pytest": """
[[pluggy]]
project = "pytest"
""",
}
"""Host -> what of it is wrapped."""


def environment(folder: Path) -> Path:
    """An environment with the hosts and what the sidecar stands on; answers its Python."""
    python = folder / "hosts" / "bin" / "python"
    if not python.exists():
        venv.create(folder / "hosts", with_pip=True)
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, *PACKAGES, str(ROOT / "sidecar")], check=True)
        subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", "plugwarden"], check=True)
    return python


def commands(python: Path, folder: Path, corpus: Path) -> dict[str, list[str]]:
    """Host -> the run."""
    (folder / "test_many.py").write_text(TEST_FILE, "utf-8")
    return {
        "flake8": [str(python), "-m", "flake8", "-j1", "--isolated", "--exit-zero", str(corpus)],
        "bandit": [str(python), "-m", "bandit", "--quiet", "--exit-zero", "--recursive", str(corpus)],
        "pytest": [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder / "test_many.py")],
    }


def cpu_seconds(command: list[str], environ: dict[str, str], folder: Path) -> float:
    """CPU time of one run, children that it waited for included; raises `RuntimeError` when it fails."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, env=environ, cwd=folder, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)}: {said.read().decode('utf-8', 'replace')[-2000:]}")
    return used.ru_utime + used.ru_stime


def measure(folder: Path, corpus: Path, sidecar: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Host -> CPU seconds without and with the sidecar, and the share that it adds."""
    python = environment(folder)
    with sink() as endpoint:
        # Compiled files are kept: a host that is started a second time has them.
        environ = {name: told for name, told in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environ |= {"PYTHONPATH": str(sidecar), "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        found = {}
        for host, command in commands(python, folder, corpus).items():
            file = folder / f"{host}.host.toml"
            file.write_text(f'service = "{host}"\n{HOST_FILES[host]}', "utf-8")
            wrapped = [str(python), "-m", "plugwarden", "run", "--file", str(file), "--", *command]
            without: list[float] = []
            within: list[float] = []
            for number in range(rounds + 1):
                spent = cpu_seconds(command, environ, folder), cpu_seconds(wrapped, environ, folder)
                if number:  # the first compiles
                    without.append(spent[0])
                    within.append(spent[1])
            bare, whole = statistics.median(without), statistics.median(within)
            found[host] = {"without_seconds": bare, "with_seconds": whole, "added_ratio": whole / bare - 1}
    return found


def main() -> None:
    """Print the table; `--json` for programs."""
    parser = argparse.ArgumentParser(description="CPU of whole runs of plugin hosts, with every plugin call wrapped.")
    parser.add_argument("--folder", type=Path, help="where the environment is kept; else it is made anew")
    parser.add_argument("--sidecar", type=Path, default=ROOT / "sidecar", help="whose sidecar is measured")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if given.folder is None else given.folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        found = measure(folder, ROOT / "sidecar" / "plugwarden" / "pipeline", given.sidecar.resolve(), given.rounds)
    if given.json:
        json.dump(found, sys.stdout)
        return
    print(f"{'CPU of the whole run':<24}{'without':>12}{'with':>12}{'added':>10}")
    for host, told in found.items():
        print(
            f"{host:<24}{told['without_seconds']:>10.2f} s{told['with_seconds']:>10.2f} s{told['added_ratio']:>10.0%}"
        )


if __name__ == "__main__":
    main()
