"""What is typed in a host's own environment: `python -m plugwarden run`, and the same as `plugwarden run` beside the collector.

main.py     the arguments
layout.py   their help
host.py     run, init
emulate.py  emulate
"""

from plugwarden.command.main import COMMANDS, main

__all__ = ["COMMANDS", "main"]
