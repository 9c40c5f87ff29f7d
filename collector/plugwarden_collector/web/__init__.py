"""What both HTTP faces of the collector, and the dashboards, need of the web; knows neither of them."""
