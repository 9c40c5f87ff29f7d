"""What whole runs of real plugin hosts cost with every plugin call wrapped, beside the same runs without.

flake8, bandit and pytest are installed, unchanged, in an environment of its own and started as `docs/how-to/run.md` has it:
`python -m plugwarden run --file … -- python -m host`. They make many tiny calls of plugins, which is what costs most. With and
without take turns, on the same input; CPU is that of the whole process, its end included; medians over the rounds. A sink in
this process takes what is sent.

`--folder DIR` keeps the environment for the next time; `--sidecar DIR` takes the sidecar from another checkout. `--against DIR`,
the `sidecar` folder of one, measures both in turns, in hosts whose own code wraps their plugins (`load/wrapped_host.py`), a start
that every release has. `--corpus DIR`: what flake8 and bandit look at.
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
WRAPPED = Path(__file__).resolve().parent / "load" / "wrapped_host.py"
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


def in_turns(starts: dict[str, tuple[list[str], Path]], folder: Path, rounds: int) -> dict[str, float]:
    """Kind of start -> median of the CPU seconds of a run; a start is a command and whose sidecar it finds."""
    spent: dict[str, list[float]] = {kind: [] for kind in starts}
    with sink() as endpoint:
        # Compiled files are kept: a host that is started a second time has them.
        environ = {name: told for name, told in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        for number in range(rounds + 1):
            for kind, (command, sidecar) in starts.items():
                seconds = cpu_seconds(command, environ | {"PYTHONPATH": str(sidecar)}, folder)
                if number:  # the first compiles
                    spent[kind].append(seconds)
    return {kind: statistics.median(seconds) for kind, seconds in spent.items()}


def measure(
    folder: Path, corpus: Path, sidecar: Path, against: Path | None, rounds: int
) -> dict[str, dict[str, float]]:
    """Host -> CPU seconds without and with the sidecar, and with an earlier one where there is one to compare with."""
    python = environment(folder)
    found = {}
    for host, command in commands(python, folder, corpus).items():
        if against is None:
            file = folder / f"{host}.host.toml"
            file.write_text(f'service = "{host}"\n{HOST_FILES[host]}', "utf-8")
            wrapped = [str(python), "-m", "plugwarden", "run", "--file", str(file), "--", *command]
            starts = {"without": (command, sidecar), "with": (wrapped, sidecar)}
        else:
            coded = [str(python), str(WRAPPED), *command[2:]]
            starts = {"without": (command, sidecar), "earlier": (coded, against), "with": (coded, sidecar)}
        found[host] = in_turns(starts, folder, rounds)
    return found


def main() -> None:
    """Print the table; `--json` for programs."""
    parser = argparse.ArgumentParser(description="CPU of whole runs of plugin hosts, with every plugin call wrapped.")
    parser.add_argument("--folder", type=Path, help="where the environment is kept; else it is made anew")
    parser.add_argument("--sidecar", type=Path, default=ROOT / "sidecar", help="whose sidecar is measured")
    parser.add_argument("--against", type=Path, help="an earlier one, to compare with")
    parser.add_argument("--corpus", type=Path, default=ROOT / "sidecar" / "plugwarden" / "pipeline")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    against = None if given.against is None else given.against.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if given.folder is None else given.folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        found = measure(folder, given.corpus.resolve(), given.sidecar.resolve(), against, given.rounds)
    if given.json:
        json.dump(found, sys.stdout)
        return
    for host, spent in found.items():
        bare = spent["without"]
        told = [
            f"{kind} {seconds:.2f} s ({seconds / bare - 1:+.0%})"
            for kind, seconds in spent.items()
            if kind != "without"
        ]
        print(f"{host:<8} without {bare:.2f} s, {', '.join(told)} of CPU")


if __name__ == "__main__":
    main()
