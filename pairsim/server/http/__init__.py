"""HTTP for any process: connections, requests, WebSockets, errors and bearer tokens.

Modules of this package know neither replicas nor areas, so that other servers, the controller's console for example,
can use them as well.
"""
