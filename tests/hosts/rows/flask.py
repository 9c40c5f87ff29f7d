"""Flask's own server with a blueprint that a plugin brought; ended by Ctrl-C."""

from __future__ import annotations

import signal

from tests.hosts.row import OUR_FRAMES, Row

__all__ = ["APP", "PATHS", "ROW"]

APP = """
import os
from flask import Blueprint, Flask, abort
from tally import tally

shop, app = Blueprint("shop", __name__), Flask(__name__)

@shop.get("/item/<int:number>")
def item(number):
    tally("item")
    if number > 90:
        abort(404)
    if number % 10 == 3:
        raise ValueError("broken")
    return {"number": number}

@shop.get("/stream")
def stream():
    tally("stream")
    return (f"{number}\\n" for number in range(50))

@app.get("/own")
def own():
    return "own"

app.register_blueprint(shop, url_prefix="/shop")
if os.environ.get("HOST_OBSERVED"):
    from plugwarden import Sidecar
    from plugwarden.integrations import flask

    # As many calls fail here as a breaker opens at.
    flask.instrument(app, Sidecar(breakers=False))
"""
PATHS = tuple(f"/shop/item/{number}" for number in range(100)) + ("/shop/stream", "/own", "/nowhere") * 10

ROW = Row(
    name="flask",
    requires=("flask==3.1.3",),
    packages=("flask",),
    files={"app.py": APP},
    command=("python", "-m", "flask", "--app", "app", "run", "--port", "{port}"),
    plugins=frozenset({"shop"}),
    requests=PATHS,
    stop=signal.SIGINT,
    varies=(r"\[\d\d/\w+/\d{4} [\d:]+\]", r"\[\d{4}-[\d:, -]+\]", OUR_FRAMES),
)
