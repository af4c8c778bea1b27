"""Monitoring of a world: alert rules, dashboards as code, and the configuration of a local Prometheus."""
