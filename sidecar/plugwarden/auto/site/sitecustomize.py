"""What the interpreter of a host loads by itself when this folder is on its path; see `plugwarden.auto.run`.

Whatever goes wrong in here is said in one line, and the host runs on as if there were nothing of ours.
"""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def others() -> None:
    """Run the `sitecustomize` that this one stands before, if there is one."""
    places = [place for place in sys.path if Path(place).resolve() != HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", places)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


try:
    others()
finally:
    try:
        from plugwarden.auto.run import activate

        activate()
    except Exception as error:  # noqa: BLE001 - the host comes first
        where = ""
        if isinstance(error, ModuleNotFoundError) and error.name == "plugwarden":
            where = f"; it is to be installed for {sys.executable}, which runs the host"
        print(f"plugwarden: nothing is observed: {error}{where}", file=sys.stderr)
