"""All pictures of the panel on one sheet: ``python -m tests.labextension.contact_sheet``.

It takes what the browser tests have left in ``tests/screenshots``, so run those first, and writes
``tests/labextension/contact-sheet.png`` with Chromium, which is there anyway.
"""

from __future__ import annotations

import html
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser import executable

SCREENSHOTS = Path(__file__).parents[1] / "screenshots"
SHEET = Path(__file__).with_name("contact-sheet.png")
#: Pixels: of the sheet, of one picture on it, and of what is shown of each: its left part.
WIDTH, TILE, PART = 1500, 240, 760


def page(pictures: list[Path]) -> str:
    """The sheet as HTML."""
    figures = "".join(
        f"<figure><div><img src='{each.as_uri()}' width={TILE * width(each) // PART}></div>"
        f"<figcaption>{html.escape(each.stem)}</figcaption></figure>"
        for each in pictures
    )
    return (
        "<style>body{margin:8px;font:12px sans-serif;display:flex;flex-wrap:wrap;gap:8px}"
        f"figure{{margin:0;width:{TILE}px}}"
        f"div{{width:{TILE}px;overflow:hidden;border:1px solid #ccc}}"
        f"img{{display:block}}</style>{figures}"
    )


def width(picture: Path) -> int:
    """Of a PNG, in pixels: it is in its header."""
    return int.from_bytes(picture.read_bytes()[16:20], "big")


def main() -> None:
    pictures = sorted(SCREENSHOTS.glob("*.png"))
    if not pictures:
        sys.exit("No pictures yet: pytest tests/labextension makes them.")
    source = SCREENSHOTS / "contact-sheet.html"
    source.write_text(page(pictures))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable())
        shown = browser.new_page(viewport={"width": WIDTH, "height": 800})
        shown.goto(source.as_uri(), wait_until="load")
        shown.screenshot(path=SHEET, full_page=True)
        browser.close()
    source.unlink()
    sys.stdout.write(f"{SHEET}: {len(pictures)} pictures, {SHEET.stat().st_size // 1000} kB\n")


if __name__ == "__main__":
    main()
