"""The status of an `Area`: its conditions, the events between two statuses, and the changes of its active."""
