"""What Streamlit runs for each browser and each turn; the pages are in `views`."""

from plugwarden_dashboards import shell

shell.run()
