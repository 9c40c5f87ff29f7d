"""`plugwarden doctor`: is the collector itself well, and if not, what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from plugwarden_collector.api.refusals import ApiError, Unreachable
from plugwarden_collector.durations import duration
from plugwarden_collector.figures import counted

from .options import DEFAULT_URL, AsJson, Url, client
from .output import clean, console, emit_json, paragraph, prose, show

if TYPE_CHECKING:
    from plugwarden_collector.api.client import CollectorClient

__all__ = ["doctor"]

OLD_DATA_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    check: str
    ok: bool
    detail: str
    """What was seen."""
    next_step: str = ""
    """What to do; empty when it is well."""


def doctor(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Check the collector; say what is wrong with it and what to do next."""
    with client(url) as api:
        checks = list(_checks(api))
    if as_json:
        emit_json([asdict(item) for item in checks])
    else:
        show(
            [{"ok": "ok" if item.ok else "NOT OK", "name": item.check, "detail": item.detail} for item in checks],
            {"ok": "result", "name": "check", "detail": ("seen", prose)},
        )
        for item in checks:
            if not item.ok:
                console.print()
                paragraph(f"{clean(item.check)}: {clean(item.detail)}")
                paragraph(f"next: {clean(item.next_step)}", indent=2)
    if not all(item.ok for item in checks):
        raise SystemExit(1)


def _checks(api: CollectorClient) -> Iterator[Check]:
    try:
        status, health, verified = api.get("status"), api.get("health"), api.get("audit/verify")
    except Unreachable as error:
        step = "Start one with `plugwarden up` or `plugwarden collector`, or name another with --url."
        yield Check("collector answers", False, str(error), step)
        return
    except ApiError as error:
        if error.status not in {401, 403}:
            raise
        step = "Set PLUGWARDEN_TOKEN to a token with the scope `read`."
        yield Check("collector lets us in", False, str(error), step)
        return
    yield Check("collector answers", True, f"version {status['version']} at {api.url}")
    yield _arriving(status["data_age_seconds"])
    yield _of(
        "sidecars listen", bool(status["listeners"]), f"{len(status['listeners'])} ask for directives",
        "Quarantines reach nobody. Set PLUGWARDEN_COLLECTOR_URL in the hosts to this address, with a token that may ingest.",
    )  # fmt: skip
    yield _of(
        "automation is not frozen", status["frozen"] is None, status["frozen"] or status["enforcement"],
        "Nothing is quarantined by itself meanwhile. `plugwarden unfreeze --reason …` when the reason is over.",
    )  # fmt: skip
    yield _of(
        "audit log is whole", verified["valid"], verified["problem"] or counted(verified["decisions"], "decision"),
        "Keep a copy of the database as evidence, and compare with a backup; `plugwarden audit verify` says all that is wrong.\n"
        "What is explained is passed over after `plugwarden audit accept --reason …`.",
    )  # fmt: skip
    yield _of(
        "rules make sense", not status["rules_warnings"], "; ".join(status["rules_warnings"]) or status["rules"],
        "Mend the file, try it with `plugwarden rules check FILE`, and send the collector SIGHUP.",
    )  # fmt: skip
    yield from _conditions(health)


def _arriving(age: float | None) -> Check:
    if age is None:
        step = "Wrap a plugin with the sidecar and point OTEL_EXPORTER_OTLP_ENDPOINT at the collector, or run `plugwarden demo`."
        return Check("data arrive", False, "never", step)
    step = "See whether hosts run and make calls; `plugwarden query` on the view plugin_calls tells who made the last ones."
    return _of("data arrive", age < OLD_DATA_SECONDS, f"newest call {duration(age)} old", step)


def _conditions(health: dict[str, Any]) -> Iterator[Check]:
    """Those that are true, or one line to say that none is."""
    open_ = [item for item in health["conditions"] if item["state"] != "inactive"]
    for item in open_:
        silenced = f" (silenced by {item['silenced_by']})" if item["silenced_by"] else ""
        if item.get("acknowledged_by"):  # an older collector says nothing of it
            silenced += f" (known to {item['acknowledged_by']})"
        elif item.get("fingerprint") and item["state"] == "firing":
            silenced += f" ({item['fingerprint']})"
        yield Check(f"{item['title']} ({item['state']}){silenced}", False, item["summary"], item["next_step"])
    if not open_:
        verdict = health["verdict"]
        step = "Look at the collector's log, and start it again if it hangs."
        yield _of("collector is well", verdict["level"] == "green", verdict["text"], step)


def _of(check: str, ok: bool, detail: str, next_step: str) -> Check:
    return Check(check, bool(ok), detail, "" if ok else next_step)
