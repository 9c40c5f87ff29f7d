"""What every answer has in common: a frozen value whose documentation, its docstrings, is that of the OpenAPI document."""

from __future__ import annotations

from pydantic import ConfigDict

__all__ = ["Answer"]


class Answer:
    """Base of the values that are sent as JSON. A row or a value that exists elsewhere is extended or held, never written again."""

    __slots__ = ()
    # Every field is sent, those with a default as well. Whoever holds another package's dataclass gives it these settings too.
    __pydantic_config__ = ConfigDict(use_attribute_docstrings=True, json_schema_serialization_defaults_required=True)
