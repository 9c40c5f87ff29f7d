"""`python -m plugwarden_collector` is the `plugwarden` command."""

from plugwarden_collector.command import main

main()
