"""The data model: components, commands, geometry, statuses, the simulator protocol and the documents; without I/O.

Everything here is plain data and pure functions, so that the same code serves a replica, the controller, a client and a
test. Only processes that hold entities import the modules that need numpy.
"""
