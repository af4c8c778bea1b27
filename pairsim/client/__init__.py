"""The Python client.

`WorldClient` is for users of a world: it finds the areas of entities by itself. `AreaClient` is for users of one area:
both replicas of its pair behind one object. `ProcessClient` is for the control of
one process, a replica or a witness. There is one error class for each thing that a user can do about an error, and all
of them are subclasses of `ClientError`.

The client needs aiohttp, msgspec and numpy, and no other package that pairsim depends on; numpy only to observe.
"""

from pairsim.client.client import AreaClient, new_id
from pairsim.client.errors import ClientError, CommandsRefused, Overloaded, RequestRefused, Unavailable
from pairsim.client.process_client import ProcessClient
from pairsim.client.process_requests import BackupSummary, Save
from pairsim.client.session import Session
from pairsim.client.world.client import WorldClient

__all__ = [
    "AreaClient",
    "BackupSummary",
    "ClientError",
    "CommandsRefused",
    "Overloaded",
    "ProcessClient",
    "RequestRefused",
    "Save",
    "Session",
    "Unavailable",
    "WorldClient",
    "new_id",
]
