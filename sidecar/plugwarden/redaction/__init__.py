"""What is secret or personal in a text, and the text without it: one set of rules for sidecar and collector. Imports nothing of ours."""

from .engine import MAX_LOOKED_AT, REDACTED, redact
from .keys import hides_value
from .record import redactor_of_record

__all__ = ["MAX_LOOKED_AT", "REDACTED", "hides_value", "redact", "redactor_of_record"]
