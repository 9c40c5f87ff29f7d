"""A Starlette application with a mounted one of a plugin, under one process of uvicorn; ended by SIGTERM."""

from __future__ import annotations

from tests.hosts.row import Row

from .fastapi import VARIES

__all__ = ["APP", "PATHS", "ROW"]

APP = """
import os
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from tally import tally

async def report(request):
    tally("GET")
    number = request.path_params["number"]
    if number % 10 == 3:
        return PlainTextResponse("broken", 500)
    return PlainTextResponse(str(number))

reports = Starlette(routes=[Route("/{number:int}", report)])
if os.environ.get("HOST_OBSERVED"):
    from plugwarden import Sidecar
    from plugwarden.integrations.asgi import PluginApp

    reports = PluginApp(reports, Sidecar(breakers=False), plugin="reports", version="2")
app = Starlette(routes=[Mount("/reports", reports), Route("/own", lambda request: PlainTextResponse("own"))])
"""
PATHS = tuple(f"/reports/{number}" for number in range(200)) + ("/own", "/nowhere") * 10

ROW = Row(
    name="uvicorn",
    requires=("uvicorn==0.54.0", "starlette==1.10.0"),
    packages=("uvicorn", "starlette"),
    files={"app.py": APP},
    command=("python", "-m", "uvicorn", "app:app", "--port", "{port}"),
    plugins=frozenset({"reports"}),
    requests=PATHS,
    varies=VARIES,
)
