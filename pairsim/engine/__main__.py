"""`python -m pairsim.engine`: the program of an engine. A node starts it, with a connection at descriptor 3."""

import sys

from pairsim.engine.child.startup import search_author_folders_last

search_author_folders_last()  # before any module is imported whose name a file of the author's may have

from pairsim.engine.child.program import main  # noqa: E402
from pairsim.engine.descriptors import WARM_OPTION  # noqa: E402

main(warm=WARM_OPTION in sys.argv[1:])
