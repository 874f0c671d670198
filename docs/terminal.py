"""Draws the terminal pictures of the documentation: what `hf-tagging inspect` shows, in its colours.

Usage:
    python docs/terminal.py [--output docs/images]
"""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from hf_tagging import inspect_dataset, load_tagging_dataset
from hf_tagging.atomic import whole_file
from hf_tagging.cli.inspection_view import show_inspection

WIDTH = 110
_ELSEWHERE = re.compile(r"@font-face \{.*?\}", re.DOTALL)  # fonts of another site, which no page may load


def main() -> None:
    """Parses the command line and draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "images", help="where the picture goes")
    arguments = parser.parse_args()
    file = arguments.output / "inspect.svg"
    with whole_file(file) as stream:
        stream.write(picture())
    print(f"{file}  {file.stat().st_size / 1000:.0f} kB")


def picture() -> str:
    """The sample, inspected for the packaged encoder, as SVG."""
    found = inspect_dataset(load_tagging_dataset("sample", task="ner"), "minilm", sentences=2)
    for notes in found.reading.splits.values() if found.reading else ():
        for file in notes:
            file.file = Path(file.file).name
    console = Console(record=True, width=WIDTH, force_terminal=True, color_system="truecolor", file=io.StringIO())
    show_inspection(found, console)
    svg = console.export_svg(title="hf-tagging inspect sample --model minilm", theme=MONOKAI, unique_id="inspect")
    return _ELSEWHERE.sub("", svg).replace("Fira Code", "monospace")


if __name__ == "__main__":
    main()
