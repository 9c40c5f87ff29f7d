"""The application of the row of uvicorn, under two workers of Hypercorn; ended by SIGTERM."""

from __future__ import annotations

from tests.hosts.row import Row

from .uvicorn import APP, PATHS

__all__ = ["ROW"]

ROW = Row(
    name="hypercorn",
    requires=("hypercorn==0.18.0", "starlette==1.10.0"),
    packages=("hypercorn", "starlette"),
    files={"app.py": APP},
    command=("python", "-m", "hypercorn", "app:app", "--bind", "127.0.0.1:{port}", "--workers", "2"),
    plugins=frozenset({"reports"}),
    requests=PATHS,
    varies=(r"\[\d{4}-[^]]*\]", r"\[\d+\]"),
)
