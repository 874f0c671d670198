"""Prints the names of all dependencies, extras included, without their bounds: what pip then takes is the newest."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
requirements = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
names = {re.match(r"[\w.-]+(\[[\w,-]+\])?", requirement)[0] for requirement in requirements}
print(*sorted(name for name in names if not name.startswith("hf-tagging")))
