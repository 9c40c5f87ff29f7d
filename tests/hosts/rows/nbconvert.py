"""nbconvert executes a notebook in a Jupyter kernel, where cells call a plugin; and its own preprocessor is one too."""

from __future__ import annotations

import json

from tests.hosts.row import Row

__all__ = ["ROW"]

CELLS = (
    "import scores\nprint([scores.score(number) for number in range(50)])",
    "try:\n    scores.score(-1)\nexcept ValueError as error:\n    print('refused', error)",
    "await scores.later(3)",
)
SCORES = """
from tally import tally

def score(number):
    tally("score")
    if number < 0:
        raise ValueError(number)
    return number % 7

async def later(number):
    tally("later")
    return number
"""
CLEANER = """
from nbconvert.preprocessors import Preprocessor
from tally import tally

class Cleaner(Preprocessor):
    def preprocess_cell(self, cell, resources, index):
        tally("preprocess_cell")
        cell.metadata = {}
        return cell, resources
"""


def _notebook() -> str:
    cells = [
        {"id": f"c{number}", "cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source}
        for number, source in enumerate(CELLS)
    ]  # fmt: skip
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps({"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})


ROW = Row(
    name="nbconvert",
    requires=("nbconvert==7.17.2", "ipykernel==7.4.0"),
    packages=("nbconvert", "ipykernel"),
    files={
        "report.ipynb": _notebook(),
        "scores.py": SCORES,
        "cleaner.py": CLEANER,
        "jupyter_nbconvert_config.py": "c.Exporter.preprocessors = ['cleaner.Cleaner']\n",
    },
    command=(
        "python", "-m", "nbconvert", "--to", "markdown", "--execute", "--output-dir", "made", "report.ipynb",
    ),
    plugins=frozenset({"scores", "cleaner"}),
    host_file=(
        '[[callable]]\ntarget = "scores:score"\n[[callable]]\ntarget = "scores:later"\n'
        '[[callable]]\ntarget = "cleaner:Cleaner.preprocess_cell"\n'
    ),
    made="made",
)  # fmt: skip
