"""A module of Optuna's without what its package imports beside it."""

import importlib
import importlib.util
import sys
from types import ModuleType


def import_alone(package: str, module: str) -> ModuleType:
    """Import ``module`` of a package whose own ``__init__`` imports more than is needed.

    ``optuna.importance`` brings scikit-learn along for another method than ours, ``optuna.visualization``
    matplotlib. Whoever imports the package later has all of it.
    """
    if package in sys.modules:
        return importlib.import_module(f"{package}.{module}")
    found = importlib.util.find_spec(package)
    assert found is not None and found.submodule_search_locations is not None
    stand_in = ModuleType(package)
    stand_in.__path__ = found.submodule_search_locations
    sys.modules[package] = stand_in
    try:
        return importlib.import_module(f"{package}.{module}")
    finally:
        for name in [n for n in sys.modules if n == package or n.startswith(f"{package}.")]:
            del sys.modules[name]
