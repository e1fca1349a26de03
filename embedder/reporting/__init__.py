"""Reports: terminal tables, charts and the HTML page."""
