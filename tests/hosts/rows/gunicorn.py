"""Gunicorn with the application of the row of Flask: plain workers, threads, and loaded before it forks; ended by SIGTERM."""

from __future__ import annotations

from tests.hosts.row import Row

from .flask import APP, PATHS
from .flask import ROW as FLASK

__all__ = ["ROWS"]

RESTARTS = (r".*(?:Autorestarting worker|Worker exiting|Booting worker).*\n",)
"""How often a worker is replaced depends on which of them answered how many requests."""


def _row(name: str, *more: str) -> Row:
    return Row(
        name=name,
        requires=("gunicorn==27.0.1", "flask==3.1.3"),
        packages=("gunicorn", "flask"),
        files={"app.py": APP},
        command=(
            "python", "-m", "gunicorn", "app:app", "--bind", "127.0.0.1:{port}", "--workers", "2", "--no-control-socket", *more
        ),
        plugins=frozenset({"shop"}),
        requests=PATHS,
        varies=(*FLASK.varies, r"\[\d{4}-\d\d-\d\d [^]]*\]", r"\[\d+\]", r"pid:? ?\d+", r"\(\d+\)", *RESTARTS),
    )  # fmt: skip


ROWS = (
    _row("gunicorn-sync"),
    _row("gunicorn-gthread", "--worker-class", "gthread", "--threads", "4", "--max-requests", "60"),
    _row("gunicorn-preload", "--preload"),
)
