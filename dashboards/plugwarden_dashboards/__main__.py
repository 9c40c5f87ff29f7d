"""`python -m plugwarden_dashboards` serves the dashboards."""

from plugwarden_dashboards.serve import main

main()
