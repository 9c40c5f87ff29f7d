"""What statements of readers take: every question of docs/reference/sql.md, and some over all spans, each as it is answered and
once more in a reader process whatever it is.

The store is built once, in a folder that is used again. Give `--python` the interpreter of another checkout to ask that as well.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SPANS = {
    "count and mean by plugin": "select plugin_id, count(*), avg(duration_seconds) from spans group by all",
    "newest hundred in full": "select * from spans order by started_at desc limit 100",
    "failures by hour": "select date_trunc('hour', started_at) as h, count(*) from spans where outcome = 'error' group by all",
    "one plugin by name": "select count(*) from spans where plugin_id = 'plugin-0003' and duration_seconds > 0.1",
    "quantiles by plugin": "select plugin_id, quantile_cont(duration_seconds, [0.5, 0.99]) from spans group by all",
    "texts by pattern": "select count(*) from spans where regexp_matches(name, 'plugin-0+[1-3]\\.')",
    "names as one text": "select plugin_id, string_agg(distinct plugin_operation, ', ') from spans group by all",
}
UNBOUNDED = "select * from ({sql}) where len(list_distinct([1])) = 1"

ASK = """
import json, sys, time
from pathlib import Path
from plugwarden_collector.store import Database, run_query
database = Database(Path(sys.argv[1]))
found = {}
run_query(database, "select 1 as a")
for name, sql in json.load(sys.stdin).items():
    took = []
    for _ in range(int(sys.argv[2])):
        began = time.perf_counter()
        try:
            run_query(database, sql, {"plugin": "plugin-0001"} if "$plugin" in sql else None, timeout_seconds=60)
        except Exception as error:
            took = [str(error)[:60]]
            break
        took.append((time.perf_counter() - began) * 1000)
    found[name] = took
database.close()
print(json.dumps(found))
"""


def questions() -> dict[str, str]:
    """Statements by their names."""
    text = (ROOT / "docs/reference/sql.md").read_text("utf-8")
    blocks = [block.split("```")[0].strip() for block in text.split("```sql\n")[1:]]
    return {**{block.splitlines()[0][3:55]: block for block in blocks}, **SPANS}


def ask(python: str, folder: Path, times: int, asked: dict[str, str]) -> dict[str, list[float | str]]:
    """Milliseconds of each, or what kept it from being answered."""
    line = [python, "-W", "ignore", "-c", ASK, str(folder), str(times)]
    done = subprocess.run(line, input=json.dumps(asked), capture_output=True, text=True, check=True)
    found: dict[str, list[float | str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def shown(took: list[float | str]) -> str:
    """The median, or the reason."""
    numbers = [item for item in took if isinstance(item, float)]
    return f"{statistics.median(numbers):10.1f}" if numbers else f"{str(took[0])[:24]:>10}"


def main() -> None:
    """Build, ask, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("build/statements"))
    parser.add_argument("--spans", type=int, default=2_000_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--python", help="of the checkout to compare with")
    options = parser.parse_args()
    from load.big_store import Shape, prepare

    began = time.monotonic()
    prepare(
        options.data, Shape(options.spans, 200, 2), lambda text: print(f"{time.monotonic() - began:6.0f} s  {text}")
    )
    asked = questions()
    other = {name: UNBOUNDED.format(sql=sql) for name, sql in asked.items()}
    columns: dict[str, dict[str, list[float | str]]] = {}
    for _ in range(options.rounds):  # in turn, so that what else the machine does falls on all of them
        found = {"as it is": ask(sys.executable, options.data, options.times, asked)}
        found["in a process"] = ask(sys.executable, options.data, options.times, other)
        if options.python:
            found["the other"] = ask(options.python, options.data, options.times, asked)
        for column, took in found.items():
            for name, times in took.items():
                columns.setdefault(column, {}).setdefault(name, []).extend(times)
    print(f"{'milliseconds (median)':<54}" + "".join(f"{name:>14}" for name in columns))
    for name in asked:
        print(f"{name:<54}" + "".join(f"{shown(found[name]):>14}" for found in columns.values()))


if __name__ == "__main__":
    main()
