"""The hosts, one a file; `ROWS` is all of them."""

from __future__ import annotations

from tests.hosts.row import Row

from . import (
    bandit,
    celery,
    dagster,
    datasette,
    django,
    fastapi,
    fastmcp,
    flake8,
    flask,
    gevent,
    gunicorn,
    hypercorn,
    langchain,
    llm,
    mcp,
    mkdocs,
    multiprocessing,
    nbconvert,
    pytest,
    sphinx,
    steps,
    stevedore,
    trio,
    uvicorn,
)

__all__ = ["ROWS"]

ROWS: tuple[Row, ...] = (
    mkdocs.ROW,
    sphinx.ROW,
    flake8.ROW,
    pytest.ROW,
    bandit.ROW,
    nbconvert.ROW,
    datasette.ROW,
    llm.ROW,
    mcp.ROW,
    fastmcp.ROW,
    flask.ROW,
    django.ROW,
    fastapi.ROW,
    *gunicorn.ROWS,
    uvicorn.ROW,
    hypercorn.ROW,
    celery.ROW,
    dagster.ROW,
    langchain.ROW,
    trio.ROW,
    gevent.ROW,
    multiprocessing.ROW,
    stevedore.ROW,
    steps.ROW,
)
"""In the order of the table."""
