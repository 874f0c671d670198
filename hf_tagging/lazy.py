"""Packages whose public names are imported at first use: torch and Transformers take seconds to import."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


def lazy_names(
    package: str, where: Mapping[str, Sequence[str]], *, renamed: Mapping[str, str] | None = None
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for a package (PEP 562) whose names are imported at first use.

    Args:
        package: Name of the package, its `__name__`.
        where: Names by the module of the package that defines them.
        renamed: New names by old ones, which work for one release and warn; with a module if they are elsewhere now.
    """
    module_of = {name: module for module, names in where.items() for name in names}

    def __getattr__(name: str) -> object:
        if renamed and name in renamed:
            told = f"{name} is now {renamed[name]}; the old name goes with the next release."
            warnings.warn(told, FutureWarning, stacklevel=2)
            module, _, new = renamed[name].rpartition(".")
            return getattr(import_module(module or package), new)
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{module_of[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *module_of})

    return __getattr__, __dir__
