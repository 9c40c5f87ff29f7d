"""Where a call runs: in place, in a thread that can be given up on, or in a worker process that can be killed."""

from .process import ProcessRunner
from .thread import ThreadRunner

__all__ = ["ProcessRunner", "ThreadRunner"]
