"""Old names that work for one release and warn."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

NewName = str | tuple[str, Mapping[object, object]]


def renamed_arguments(**names: NewName) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator that takes keyword arguments under their old names, with a FutureWarning.

    Args:
        **names: New name under each old one; or new name and new values under the old ones.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> T:
            for old in [name for name in kwargs if name in names]:
                renaming = names[old]
                new, values = (renaming, {}) if isinstance(renaming, str) else renaming
                warnings.warn(
                    f"{old} is now {new}; the old name goes with the next release.", FutureWarning, stacklevel=2
                )
                value = kwargs.pop(old)
                kwargs.setdefault(new, values.get(value, value))
            return function(*args, **kwargs)

        return called

    return decorate
