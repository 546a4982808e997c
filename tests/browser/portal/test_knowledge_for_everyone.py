"""The pages of the knowledge base for everybody: axe finds nothing, nothing is wider than a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.portal.conftest import Visit

pytestmark = pytest.mark.browser

PAGES = {
    None: ["/knowledge?q=pasword", "/knowledge/reset-your-password", "/news", "/downloads", "/troubleshooter"],
    "sam": ["/staff/articles", "/staff/articles/new", "/staff/troubleshooter", "/staff/troubleshooter/new",
            "/staff/downloads"],
    "alex": ["/staff/articles/publishers"],
}  # fmt: skip


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
@pytest.mark.parametrize("who", list(PAGES))
def test_pages_suit_everybody(visit: Visit, who: str | None, width: int, scheme: str) -> None:
    page = visit(who, viewport={"width": width, "height": 844}, color_scheme=scheme)
    faults = []
    for path in [*PAGES[who], *_found(page, who)]:
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        page.locator("main details").evaluate_all("all => all.forEach(one => (one.open = true))")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
        faults += [
            f"{path}: {fault['id']}: {node['target']} {node['failureSummary']}"
            for fault in found.response["violations"]
            for node in fault["nodes"]
        ]
    assert not faults, "\n".join(faults)


def _found(page: Page, who: str | None) -> list[str]:
    """Pages whose addresses are known only from others."""
    if who == "sam":
        page.goto("/staff/articles?state=published")
        editor = page.locator("td.subject a").last.get_attribute("href")
        page.goto("/staff/troubleshooter")
        question = page.locator("main h2 a").first.get_attribute("href")
        return [f"{editor}", f"{editor}/versions", f"{question}", "/staff/articles/from-ticket/1003"]
    if who is None:
        page.goto("/troubleshooter")
        question = page.locator(".entries a").first.get_attribute("href")
        page.goto(f"{question}")
        return [f"{question}", f"{page.locator('.entries a').last.get_attribute('href')}"]
    return []
