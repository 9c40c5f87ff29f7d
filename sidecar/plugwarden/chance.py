"""Our own randomness, for ids, shares and jitter, none of which is a secret.

The module's own generator is the host's: drawing from it would change what a host gets that has seeded it. All that draw
share this one, which a forked child seeds anew: else all children of a parent would give the same ids and come back in step.
"""

from __future__ import annotations

import os
import random

__all__ = ["chance", "getrandbits", "random_bytes"]

_random = random.Random()  # noqa: S311 - see above
os.register_at_fork(after_in_child=_random.seed)
chance = _random.random
"""A number in [0, 1)."""
getrandbits = _random.getrandbits
"""A whole number of so many bits."""
random_bytes = _random.randbytes
"""So many bytes."""
