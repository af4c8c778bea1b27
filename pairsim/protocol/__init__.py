"""What both sides of the HTTP API know: frames, areas of interest and their bounds."""
