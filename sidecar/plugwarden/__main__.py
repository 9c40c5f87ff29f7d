"""`python -m plugwarden`: what a host's own environment needs, where the `plugwarden` command is not installed."""

from __future__ import annotations

import sys

from plugwarden.command import main

if __name__ == "__main__":
    sys.exit(main(program="python -m plugwarden"))
