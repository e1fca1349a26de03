"""Reports: tables for a terminal, charts and the page."""
