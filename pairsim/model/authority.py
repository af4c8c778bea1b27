"""Authority: the grant that says which part of the world an area simulates."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pairsim.model.geometry import Box
from pairsim.model.names import Name


class Authority(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A grant of authority.

    Attributes:
        area: The name of the area.
        epoch: The number of the grant. A replica refuses a lower epoch than the one in force.
        bounds: The box that the area has authority over, in metres.
    """

    area: Name
    epoch: Annotated[int, msgspec.Meta(ge=1)]
    bounds: Box
