"""A plugin host whose own code wraps its plugins, by names that every release of the sidecar has: `wrapped_host.py HOST ARGUMENT…`."""

from __future__ import annotations

import runpy
import sys
from typing import Any

from plugwarden import Sidecar

__all__: list[str] = []


def wrap_flake8(sidecar: Sidecar) -> None:
    """Wrap the checks that read a whole file."""
    import bugbear
    import mccabe
    from flake8.plugins import pyflakes

    for kind in (pyflakes.FlakesChecker, bugbear.BugBearChecker, mccabe.McCabeChecker):
        kind.run = sidecar.wrap(kind.run, plugin=kind.__module__, version="1")


def wrap_bandit(sidecar: Sidecar) -> None:
    """Wrap all of its tests."""
    from bandit.core import extension_loader
    from plugwarden.integrations.stevedore import instrument

    instrument(extension_loader.MANAGER.plugins_mgr, sidecar)


class WrapAll:
    """A plugin of pytest that wraps the others."""

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar

    def pytest_configure(self, config: Any) -> None:
        """Wrap the hooks of all that are registered."""
        from plugwarden.integrations.pluggy import instrument

        instrument(config.pluginmanager, self._sidecar)


def main() -> None:
    """Run the host in this process."""
    host = sys.argv.pop(1)
    sidecar = Sidecar(service=host)
    if host == "pytest":
        import pytest

        sys.exit(pytest.main(sys.argv[1:], plugins=[WrapAll(sidecar)]))
    {"bandit": wrap_bandit, "flake8": wrap_flake8}[host](sidecar)
    sys.argv[0] = host
    runpy.run_module(host, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
