"""The code blocks of the pages: found, checked, and run in the order in which they stand.

    python docs/blocks.py FOLDER docs/data.md docs/course.md

runs the pages' blocks in FOLDER, each page in a process and a copy of its own. FOLDER holds what a reader has after
`make quickstart`: recipes/, accelerate_configs/, runs/quickstart-pos.

A page's ``python`` blocks share their names, as in one session. Of its ``sh`` blocks every line is a command. A block
whose fence has a ``title`` from `NOT_RUN` is not run and says to the reader why. A ``text`` block with the title
``output`` holds what the block before it prints, which is therefore one that is run.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import runpy
import shlex
import shutil
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOT_RUN = (
    "needs the Hub", "needs the package index", "needs your data", "takes minutes", "runs until it is stopped",
    "needs a cluster", "with the server running",
)  # fmt: skip
PRINTS = "output"
LANGUAGES = ("python", "sh", "text", "yaml", "json", "conll", "js", "nginx")
_FENCE = re.compile(r'^```(\w+)(?: title="([^"]*)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A code block.

    Args:
        page: Name of the page's file.
        line: Number of the line of its fence.
        language: What stands behind the fence.
        title: The fence's title; empty where there is none.
        text: What stands in it.
    """

    page: str
    line: int
    language: str
    title: str
    text: str

    @property
    def is_run(self) -> bool:
        """Whether the block is code and no reason is given to leave it alone."""
        return self.language in ("python", "sh") and self.title not in NOT_RUN

    @property
    def commands(self) -> list[str]:
        """The command lines of a ``sh`` block, continued lines joined, comments left out."""
        lines = self.text.replace("\\\n", " ").splitlines() if self.language == "sh" else []
        return [line for line in (re.sub(r"(^|\s)#\s.*", "", line).strip() for line in lines) if line]


def find_blocks(page: Path) -> list[Block]:
    """All code blocks of a page, in order.

    Raises:
        ValueError: If a fence is none that `_FENCE` reads: it would be left out without a word.
    """
    text = page.read_text(encoding="utf-8")
    found = [
        Block(page.name, text.count("\n", 0, match.start()) + 1, match[1], match[2] or "", match[3])
        for match in _FENCE.finditer(text)
    ]
    fences = len(re.findall(r"^\s*(?:```|~~~)", text, re.MULTILINE))
    if fences != 2 * len(found):
        raise ValueError(f"{page.name}: {fences} fences, but {len(found)} blocks that can be read")
    return found


def run_page(page: Path, folder: Path) -> None:
    """Runs a page's blocks.

    Args:
        page: The page.
        folder: Where to; the current folder from here on.

    Raises:
        AssertionError: If a block prints something else than the page says, or the page says it of one that is not run.
    """
    os.chdir(folder)
    names: dict[str, Any] = {"__name__": "__main__"}
    said: str | None = None
    for block in find_blocks(page):
        place = f"{block.page}, line {block.line}"
        if block.title == PRINTS:
            assert said is not None, f"{place}: the block before it is not run"
            expected = block.text.strip()
            assert said == expected, f"{place}: it prints\n{said}\nand the page says\n{expected}"
        elif block.title in NOT_RUN:
            said = None
        elif block.is_run:
            said = _run(block, names, place).replace(f"{folder}/", "").strip()


def _run(block: Block, names: dict[str, Any], place: str) -> str:
    """Runs a block; returns what it prints."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)  # the command line sets its encoding
    try:
        with contextlib.redirect_stdout(out):
            if block.language == "python":
                # Lines are counted as in the page, for the traceback.
                exec(compile("\n" * block.line + block.text, block.page, "exec"), names)
            for command in block.commands:
                run_command(command)
    except BaseException as error:
        raise AssertionError(f"{place}: {type(error).__name__}: {error}") from error
    return out.buffer.getvalue().decode("utf-8")


def run_command(command: str) -> None:
    """Runs `hf-tagging ...` or `python FILE ...` in this process: to import PyTorch takes longer than what they do.

    Raises:
        ValueError: For any other command.
        RuntimeError: If it fails.
    """
    program, *arguments = shlex.split(command)
    before = sys.argv
    try:
        if program == "hf-tagging":
            from hf_tagging.cli import main

            main(arguments)
        elif program == "python":
            sys.argv = arguments
            runpy.run_path(arguments[0], run_name="__main__")
        else:
            raise ValueError(f"{command}: only hf-tagging and python are run; give the block a title of {NOT_RUN}")
    except SystemExit as end:
        if end.code not in (None, 0):
            raise RuntimeError(f"{command}: ended with {end.code}") from end
    finally:
        sys.argv = before


def run_pages(pages: Iterable[Path], folder: Path) -> dict[str, str]:
    """Runs pages, each in a process that is forked from this one and in a copy of the folder.

    Args:
        pages: The pages.
        folder: What a reader has; it is not changed.

    Returns:
        What went wrong, by page; nothing of the pages that work.
    """
    import transformers  # noqa: F401  # before the fork: once for all pages

    import hf_tagging.inference.tagger
    import hf_tagging.training  # noqa: F401

    wrong = {}
    for page in (path.resolve() for path in pages):
        copy = folder.resolve().with_name(f"{folder.name}-{page.stem}")
        shutil.rmtree(copy, ignore_errors=True)  # of a call that was killed
        shutil.copytree(folder, copy, symlinks=True)
        report = copy / ".wrong"
        child = os.fork()
        if not child:
            _run_in_child(page, copy, report)
        _, status = os.waitpid(child, 0)
        if status:
            wrong[page.name] = report.read_text() if report.exists() else f"ended with {status}"
        shutil.rmtree(copy)
    return wrong


def _run_in_child(page: Path, folder: Path, report: Path) -> None:
    code = 1
    try:
        run_page(page, folder)
        code = 0
    except BaseException:
        report.write_text(traceback.format_exc())
    finally:
        sys.stdout.flush()
        os._exit(code)  # nothing of the parent's is to be cleaned up here


if __name__ == "__main__":
    failures = run_pages(map(Path, sys.argv[2:]), Path(sys.argv[1]))
    print(json.dumps(failures, indent=1))
    raise SystemExit(bool(failures))
