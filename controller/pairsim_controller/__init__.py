"""Controls which process simulates which area: observes replicas, assigns spares, replaces losses, labels roles."""
