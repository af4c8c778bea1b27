"""The types of names and addresses."""

from __future__ import annotations

from typing import Annotated

import msgspec

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
"""A label as RFC 1123 defines it, which Kubernetes requires for its names."""

Address = Annotated[str, msgspec.Meta(pattern=r"^([^\s:\[\]]+|\[[0-9a-f:.]+\]):[0-9]{1,5}$", max_length=260)]
"""A host and a port, written as host:port, with brackets around an IPv6 address: `pairsim.addresses`."""
