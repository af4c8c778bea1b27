"""Decides who simulates what: observes replicas, assigns spares, replaces the lost, labels roles."""
