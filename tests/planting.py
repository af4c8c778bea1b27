"""Faults that tests plant into the real programs: a `sitecustomize.py` that changes a module when it is loaded."""

WHEN_LOADED = """
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
"""After `MODULE`, a module's name, and `plant`, a function of the loaded module."""
