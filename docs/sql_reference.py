"""Writes views and named questions into docs/reference/sql.md, from the collector's own description of them. `--check` only compares."""

from __future__ import annotations

import sys
from pathlib import Path

from plugwarden_collector.store.questions import Question, questions
from plugwarden_collector.store.views import View, stable_views

PAGE = Path(__file__).with_name("reference") / "sql.md"
MARK = "do not edit below. -->\n"
FROM, TO = "do not edit to the next mark. -->\n", "<!-- The rest of the questions"


def section(view: View) -> str:
    """One view as Markdown."""
    lines = [
        f"### `{view.name}`",
        "",
        f"One row is {view.text}.",
        "",
        "| column | type | null | meaning |",
        "|---|---|---|---|",
    ]
    for column in view.columns:
        kind = column.type.replace("|", r"\|")
        lines.append(f"| `{column.name}` | `{kind}` | {column.null or 'never'} | {column.text} |")
    return "\n".join(lines)


def example(question: Question) -> str:
    """One question as Markdown."""
    return f"```sql\n-- {question.name}: {question.text}\n{question.sql}\n```\n"


def main() -> int:
    """Write, or compare; 1 when the page is not what it should be."""
    page = PAGE.read_text("utf-8")
    head, mark, _ = page.partition(MARK)
    before, begin, rest = head.partition(FROM)
    _, end, after = rest.partition(TO)
    head = f"{before}{begin}\n" + "\n".join(example(item) for item in questions().values()) + f"\n{end}{after}"
    wanted = f"{head}{mark}\n" + "\n\n".join(section(view) for view in stable_views().values()) + "\n"
    if "--check" not in sys.argv:
        PAGE.write_text(wanted, "utf-8")
    elif page != wanted:
        sys.stderr.write(
            f"{PAGE} is not what store/views.toml and store/questions.toml say; run `python docs/sql_reference.py`\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
