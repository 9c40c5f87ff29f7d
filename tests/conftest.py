"""What every test of ours needs."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import httpcore2
import hypothesis
import pytest

hypothesis.settings.register_profile("unhurried", parent=hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("unhurried")  # no test asserts a wall-clock time: a busy machine is no fault


def pytest_collection_finish() -> None:
    """Tests and what they import stay to the end: no collection of garbage shall look at them again (a sixth of all time)."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def audit_key_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The key of decision logs and their heads: not the user's own. Processes that a test starts inherit it."""
    before = os.environ.get("PLUGWARDEN_AUDIT_KEY_FILE")
    os.environ["PLUGWARDEN_AUDIT_KEY_FILE"] = str(tmp_path_factory.mktemp("audit") / "audit.key")
    yield
    if before is None:
        del os.environ["PLUGWARDEN_AUDIT_KEY_FILE"]
    else:
        os.environ["PLUGWARDEN_AUDIT_KEY_FILE"] = before


@pytest.fixture(scope="session", autouse=True)
def one_reading_of_the_machines_certificates() -> Iterator[None]:
    """Each HTTP client reads them when it is made, TLS or not: 30 to 40 ms of processor time, and most requests of tests are
    made with a client of their own."""
    made = httpcore2.default_ssl_context()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpcore2, "default_ssl_context", lambda **_: made)
        yield
