"""Which tool a file is of, and what it says in the words of another one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.table import nearest
from plugwarden_collector.rules.workable import shown
from plugwarden_collector.rules.yaml_text import Value, YamlError, documents_in

from .draft import Found
from .openslo import VERSIONS, read_openslo
from .openslo_text import openslo_documents
from .prometheus import prometheus_rules
from .promql import query_problem
from .pyrra import read_pyrra
from .sloth import read_sloth, sloth_document, sloth_id
from .sloth_windows import KIND, read_windows
from .toml_text import toml_text

__all__ = ["Foreign", "Format", "export_problems", "exported", "opened", "read_foreign"]

_PYRRA, _SLOTH, _SLOTH_KUBERNETES = "pyrra.dev/v1alpha1", "prometheus/v1", "sloth.slok.dev/v1"
_KNOWN = (*VERSIONS, _PYRRA, _SLOTH_KUBERNETES)


MAX_WIDTH = 1_000_000
"""Characters of a line that is written: queries stay whole."""


class Format(StrEnum):
    """What objectives can be exported as."""

    OPENSLO = "openslo"
    SLOTH = "sloth"
    PROMETHEUS = "prometheus"
    TOML = "toml"


@dataclass(frozen=True, slots=True)
class Foreign:
    """The objects of a file of another tool: its documents, and what stands in those that are lists."""

    objects: tuple[Value, ...] = ()
    problem: str | None = None
    """Why it cannot be read as YAML."""


def opened(text: str) -> Foreign:
    """Return the objects of a text of YAML or JSON."""
    try:
        return Foreign(tuple(_objects(text)))
    except YamlError as error:
        return Foreign(problem=str(error))


def read_foreign(file: Foreign, beside: Iterable[Foreign] = ()) -> Found:
    """Return what the objects of a file say; those of OpenSLO may refer to those of the files `beside`."""
    found, openslo = Found(), list[Value]()
    others = [item for other in beside for item in other.objects]
    for item in filter(_is_windows, others):
        read_windows(item, Found(tables=found.tables))
    if file.problem is not None:
        found.problems.append(file.problem)
        return found
    for item in sorted(file.objects, key=_is_windows, reverse=True):  # what objectives name goes before them
        _read(item, openslo, found)
    read_openslo(openslo, found, [item for item in others if _version(item).text in VERSIONS])
    found.problems = sorted(
        dict.fromkeys(found.problems), key=_line
    )  # what is wrong with an SLO is so for each of its objectives
    return found


def _objects(text: str) -> Iterator[Value]:
    for document in documents_in(text):
        yield from document.items if isinstance(document.value, list) else [document]


def _version(document: Value) -> Value:
    return document.at("apiVersion") or document.at("version") or Value(None, document.line)


def _is_windows(document: Value) -> bool:
    kind = document.at("kind")
    return _version(document).text == _SLOTH_KUBERNETES and kind is not None and kind.text == KIND


def _line(problem: str) -> int:
    return int(problem.rpartition("(line ")[2].removesuffix(")") or 0) if problem.endswith(")") else 0


def _read(document: Value, openslo: list[Value], found: Found) -> None:
    version = _version(document)
    if version.value is None:
        if (groups := document.at("groups")) is not None:
            found.refuse(
                groups,
                "rules of Prometheus say when to alert, and not of what; give the file of Sloth, Pyrra or OpenSLO they were made of",
            )
        else:
            found.refuse(document, f"apiVersion is missing; write one of {', '.join(_KNOWN)}, or version: {_SLOTH}")
    elif version.text in VERSIONS:
        openslo.append(document)
    elif version.text == _PYRRA:
        read_pyrra(document, found)
    elif _is_windows(document):
        read_windows(document, found)
    elif version.text in (_SLOTH, _SLOTH_KUBERNETES):
        read_sloth(document, found)
    elif version.text == "openslo/v1alpha":
        found.refuse(
            version,
            "OpenSLO's v1alpha is not read; write openslo/v1, where the metric is in spec.indicator and the window in timeWindow",
        )
    else:
        found.refuse(version, f"{shown(version.text)} is not read{nearest(version.text, (*_KNOWN, _SLOTH))}")


def export_problems(objectives: Sequence[Objective], kind: Format) -> list[str]:
    """Return what keeps objectives from being exported, each with its objective and what to write instead."""
    if kind is Format.OPENSLO:
        return [
            f"{item.name}.sli: OpenSLO has no metric of ours for minutes in which a limit was nearly full; leave it out, or export as toml"
            for item in objectives
            if item.saturation is not None
        ]
    if kind is Format.TOML:
        return []
    found = [f"{item.name}.{key}: {wrong}" for item in objectives for key, wrong in filter(None, [query_problem(item)])]
    by_id: dict[str, Objective] = {}
    for item in objectives:
        known = sloth_id(item)
        first = by_id.setdefault(known, item)
        if first is not item:
            found.append(
                f"{item.name}.name: with its service it is {shown(known)} to Sloth, and so is {shown(first.name)}; take another name"
            )
    return found


def exported(objectives: Sequence[Objective], kind: Format) -> str:
    """Return objectives as a file; those of `export_problems` must be none."""
    if kind is Format.TOML:
        return toml_text(objectives)
    import yaml  # most commands and collectors write no YAML

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML tells no types
        """Writes every value out, and texts of several lines as they are."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.add_representer(
        str,
        lambda dumper, text: dumper.represent_scalar(
            "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
        ),
    )
    made: Mapping[Format, Callable[[Iterable[Objective]], Iterable[Any]]] = {
        Format.OPENSLO: openslo_documents,
        Format.SLOTH: sloth_document,
        Format.PROMETHEUS: lambda items: [prometheus_rules(items)],
    }
    return str(
        yaml.dump_all(made[kind](objectives), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=MAX_WIDTH)
    )
