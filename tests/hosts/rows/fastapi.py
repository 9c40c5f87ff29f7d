"""FastAPI with a router that a plugin brought, under two workers of uvicorn; ended by SIGTERM."""

from __future__ import annotations

from tests.hosts.row import Row

__all__ = ["APP", "PATHS", "ROW", "VARIES"]

APP = """
import os
from fastapi import APIRouter, FastAPI, HTTPException
from starlette.responses import StreamingResponse
from tally import tally

router, app = APIRouter(), FastAPI()

@router.get("/item/{number}")
def item(number: int):
    tally("item")
    if number > 90:
        raise HTTPException(404)
    return {"number": number}

@router.get("/later/{number}")
async def later(number: int):
    tally("later")
    return {"later": number}

@router.get("/stream")
async def stream():
    tally("stream")
    async def lines():
        for number in range(50):
            yield f"{number}\\n"
    return StreamingResponse(lines())

@app.get("/own")
async def own():
    return "own"

app.include_router(router, prefix="/shop")
if os.environ.get("HOST_OBSERVED"):
    from plugwarden import Sidecar
    from plugwarden.integrations.asgi import wrap_routes

    wrap_routes(router.routes, Sidecar(), plugin="shop", version="2")
"""
PATHS = (
    tuple(f"/shop/item/{number}" for number in range(100))
    + tuple(f"/shop/later/{number}" for number in range(60))
    + ("/shop/stream", "/own", "/nowhere") * 10
)
VARIES = (r"process \[\d+\]", r"127\.0\.0\.1:\d+")

ROW = Row(
    name="fastapi",
    requires=("fastapi==0.165.0", "uvicorn==0.54.0"),
    packages=("fastapi", "uvicorn"),
    files={"app.py": APP},
    command=("python", "-m", "uvicorn", "app:app", "--port", "{port}", "--workers", "2"),
    plugins=frozenset({"shop"}),
    requests=PATHS,
    varies=VARIES,
)
