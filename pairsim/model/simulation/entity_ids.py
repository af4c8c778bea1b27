"""The ids of the entities that an area creates.

They stay below 2**52, and so are exact as floating-point numbers: JavaScript, jq and others read every number of JSON
as one. The ids from 2**52 to 2**53 are free for programs that draw ids at random.
"""

from __future__ import annotations

import xxhash

from pairsim.model.area import AreaSpec

IDS_PER_BLOCK = 1_000_000
"""Every area's ids start at a multiple of this number, so that an id shows the index of its entity."""

_BLOCKS = 2**52 // IDS_PER_BLOCK
_MOST_BLOCKS_OF_AN_AREA = 50


def first_entity(area: AreaSpec) -> int:
    """Returns the first id of an area's entities, a multiple of a million below 2**52.

    The id follows from the area's name, so that areas need not agree on ids: in one of nine thousand worlds with a
    thousand areas each, two areas get the same million ids.
    """
    block = xxhash.xxh3_64_intdigest(area.area.encode()) % (_BLOCKS - _MOST_BLOCKS_OF_AN_AREA)
    return block * IDS_PER_BLOCK
