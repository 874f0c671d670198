"""Takes recipes, their configs and those of accelerate along in a wheel; all else is in pyproject.toml.

They stand at the top of the source tree, where people look for them, and in the package of a wheel, where
`hf_tagging.cli.shipped` looks for them when there is no source tree.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("recipes", "accelerate_configs")


class BuildWithRecipes(build_py):
    """Copies the folders into the package that is built; an editable install reads them where they are."""

    def run(self) -> None:
        """Builds the package, then adds the folders."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "hf_tagging", "_shipped")
        shutil.rmtree(target, ignore_errors=True)  # of an earlier build, with what has been removed since
        for name in SHIPPED:
            shutil.copytree(name, target / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))


setup(cmdclass={"build_py": BuildWithRecipes})
