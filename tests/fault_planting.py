"""Faults that tests plant into the real programs, by a `sitecustomize.py` that changes a module on its import.

The file consists of an assignment of `MODULE` (the name of the module), a function `plant` that gets the imported
module, and `PLANT_ON_IMPORT`.
"""

PLANT_ON_IMPORT = """
import sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec

class _Planter(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        loader = spec.loader
        execute = loader.exec_module
        def planted(module):
            execute(module)
            plant(module)
        loader.exec_module = planted
        return spec

sys.meta_path.insert(0, _Planter())
"""
"""The end of a `sitecustomize.py`: it calls `plant` with the module `MODULE` as soon as that is imported."""
