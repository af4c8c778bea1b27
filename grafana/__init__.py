"""What shows a world: rules, dashboards as code, and what a local Prometheus needs."""
