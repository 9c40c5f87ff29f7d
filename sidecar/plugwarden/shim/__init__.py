"""Wraps functions, coroutine functions, generator functions and blocks with the same signature out.

What kind of callable it is, is decided once, at wrap time. Whatever of ours could fail is guarded where it stands: it is
counted, and the plugin runs unobserved. A host never sees an error of the shim's own, and of the shim in a traceback
only the one frame that calls the plugin.
"""

from .attempt import is_awaited
from .block import Block
from .form import Form
from .rollback import Rollback
from .wrap import kind_of, require_callable, wrap

__all__ = ["Block", "Form", "Rollback", "is_awaited", "kind_of", "require_callable", "wrap"]
