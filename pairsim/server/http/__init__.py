"""HTTP itself: connections, requests, WebSockets, errors, authorization."""
