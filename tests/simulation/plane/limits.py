"""The bounds of what areas exchange, in all places of the product that take the default ones."""

from __future__ import annotations

from pairsim.model.borders import BorderLimits, BorderState
from pairsim.replication.checkpoint import format as checkpoint_format
from pairsim.replication.sync import follower


def use_limits(limits: BorderLimits) -> None:
    """Lets all areas have these bounds from now on."""
    defaults = BorderState.__init__.__kwdefaults__
    assert defaults is not None
    defaults["limits"] = follower.DEFAULT_LIMITS = checkpoint_format.DEFAULT_LIMITS = limits  # type: ignore[misc]
