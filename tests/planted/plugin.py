"""A pytest plugin that plants the fault which the environment names, before any module of the product is imported."""

from __future__ import annotations

import os
import sys

from tests.planted.faults import VARIABLE, FaultFinder, read_faults

sys.meta_path.insert(0, FaultFinder(read_faults()[os.environ[VARIABLE]]))
