"""How requests leave: addresses and options as OTEL_EXPORTER_OTLP_* says, and one sender per protocol."""

from .made import make_senders
from .sender import SIGNALS, Sender, Verdict

__all__ = ["SIGNALS", "Sender", "Verdict", "make_senders"]
