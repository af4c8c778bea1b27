"""The part of the HTTP API that both of its sides know: frames, areas of interest and their bounds."""
