"""Whether a page suits everybody: axe finds no fault and nothing is wider than the window, in every look."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

HEIGHT = 844
WIDTHS = (1280, 390)
"""A desk and a phone."""
_WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
_COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
"""What a page can get wrong in one colour scheme only: in the other one nothing else is looked at again."""
EVERYTHING: dict[str, Any] = {}
"""Also what is good practice only."""


def faults(page: Page, rules: dict[str, Any] = _WCAG) -> list[str]:
    """What is wrong with the page as it looks at present."""
    page.evaluate(Axe().axe_script)
    return _found(page, rules) + _too_wide(page)


def faults_in_every_look(page: Page) -> list[str]:
    """What is wrong with the page on a desk and a phone, light and dark; it is left as on a desk, in the light."""
    page.evaluate(Axe().axe_script)
    found: list[str] = []
    for width in WIDTHS[::-1]:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        found += _too_wide(page)
        for scheme, options in (("dark", _COLOURS), ("light", _WCAG)):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            found += [f"{width} {scheme} {fault}" for fault in _found(page, options)]
    return found


def visited(page: Page, path: str) -> list[str]:
    """Open a page with everything on it unfolded; what is wrong with it in every look."""
    answer = page.goto(path)
    assert answer is not None
    assert answer.status == 200, path
    page.locator("main details").evaluate_all("all => all.forEach(one => (one.open = true))")
    return faults_in_every_look(page)


def _found(page: Page, options: dict[str, Any]) -> list[str]:
    violations = page.evaluate("async options => (await axe.run(options)).violations", options)
    return [
        f"{page.url}: {fault['id']}: {node['target']} {node['failureSummary']}"
        for fault in violations
        for node in fault["nodes"]
    ]


def _too_wide(page: Page) -> list[str]:
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    return [f"{page.url}: {width[0]} wide in a window of {width[1]}"] if width[0] > width[1] else []
