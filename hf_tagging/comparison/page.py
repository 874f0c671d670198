"""A comparison as Markdown and JSON files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from hf_tagging.atomic import remove_left_behind, whole_file, write_json
from hf_tagging.comparison.result import Comparison, cells, legend
from hf_tagging.markdown import text


def markdown_page(comparison: Comparison, plots: Iterable[str] = ()) -> str:
    """Return the comparison as a Markdown page: table, legend, plots.

    Args:
        comparison: The comparison.
        plots: Paths of images, relative to the page.
    """
    header, *rows = (list(map(text, row)) for row in cells(comparison))
    rule = ["---" if name in ("run", "note") else "---:" for name in header]
    table = "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *rows])
    images = "\n".join(f"![{Path(plot).stem.replace('_', ' ')}]({plot})" for plot in plots)
    title = f"# Comparison on the {comparison.split} split"
    notes = " ".join(legend(comparison, text(comparison.reference)))
    return "\n\n".join(filter(None, [title, table, notes, images])) + "\n"


def write_comparison(comparison: Comparison, folder: Path, plots: Iterable[str] = ()) -> None:
    """Write `comparison.md` and `comparison.json`. The caller holds the folder's lock.

    Args:
        comparison: The comparison.
        folder: Folder to write into.
        plots: Paths of images in the folder.
    """
    page, data = folder / "comparison.md", folder / "comparison.json"
    remove_left_behind(page, data)
    with whole_file(page) as file:
        file.write(markdown_page(comparison, plots))
    write_json(data, asdict(comparison) | {"metric": comparison.metric}, default=None)
