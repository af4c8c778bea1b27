"""The Kubernetes adapter: pods in place of local processes, objects in place of a data folder."""
