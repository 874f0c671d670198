"""Makes the screenshots of the documentation from the report of a finished run.

Usage:
    python docs/screenshots.py RUN_DIR [--output docs/images]

RUN_DIR holds `report.html`, as every run leaves it; `make quickstart` makes one. Needs Playwright and a Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from hf_tagging.atomic import whole_path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MOST_BYTES = 300_000
DESKTOP, PHONE = {"width": 1100, "height": 760}, {"width": 390, "height": 844}
MARGIN = 12

Shot = tuple[dict[str, Any], Callable[[Page, Path], object]]


def main() -> None:
    """Parses the command line and makes every picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN_DIR", help="folder of a run, with its report.html")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "images", help="where the pictures go")
    arguments = parser.parse_args()
    report = arguments.run / "report.html"
    if not report.is_file():
        sys.exit(f"There is no {report}. Make it: hf-tagging report {arguments.run}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    for file in take_all(report, arguments.output):
        print(f"{file}  {file.stat().st_size / 1000:.0f} kB")


def take_all(report: Path, output: Path) -> list[Path]:
    """Photographs a report.

    Args:
        report: The page.
        output: An existing folder.

    Returns:
        The pictures: `report-<name>.png`.
    """
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        sys.exit(f"No browser: none of {', '.join(NAMES)} is installed.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        files = [take(browser, report, output / f"report-{name}.png", *shot) for name, shot in shots().items()]
        browser.close()
    return files


def shots() -> dict[str, Shot]:
    """Options of the browser and what is photographed, by the name of the picture."""
    return {
        "top": ({"viewport": DESKTOP}, whole_view),
        "dark": ({"viewport": DESKTOP, "color_scheme": "dark"}, whole_view),
        "phone": ({"viewport": PHONE}, whole_view),
        "tags": ({"viewport": DESKTOP}, section("tags")),
        "sentences": ({"viewport": DESKTOP}, section("sentences")),
        "confusion": ({"viewport": DESKTOP}, section("confusion")),
        "groups": ({"viewport": DESKTOP}, section("groups")),
        "calibration": ({"viewport": DESKTOP}, section("calibration")),
    }


def take(browser: Browser, report: Path, file: Path, options: dict[str, Any], photograph: Callable) -> Path:
    """Makes one picture, and refuses one that is too large for a repository."""
    context = browser.new_context(**options)
    page = context.new_page()
    page.goto(report.resolve().as_uri())
    photograph(page, file)
    context.close()
    if file.stat().st_size > MOST_BYTES:
        sys.exit(f"{file} has {file.stat().st_size:,} bytes, more than {MOST_BYTES:,}.")
    return file


def whole_view(page: Page, file: Path) -> None:
    """What a reader sees without scrolling."""
    with whole_path(file) as partial:
        page.screenshot(path=partial, type="png")


def section(name: str) -> Callable[[Page, Path], None]:
    """A section from its title on, at most 1,000 pixels of it."""

    def photograph(page: Page, file: Path) -> None:
        box = page.locator(f"#{name}").bounding_box()
        assert box is not None
        clip = {"x": box["x"] - MARGIN, "y": box["y"] + MARGIN, "width": box["width"] + 2 * MARGIN}
        clip["height"] = min(box["height"] + MARGIN, 1000)
        with whole_path(file) as partial:
            page.screenshot(path=partial, type="png", full_page=True, clip=clip)

    return photograph


if __name__ == "__main__":
    main()
