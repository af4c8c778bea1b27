"""A world without I/O: components, commands, geometry, the simulator protocol and the documents.

Everything here is plain data and pure functions, so that the same code serves a replica, the controller,
a client and a test. Modules that need numpy are imported only by processes that hold entities.
"""
