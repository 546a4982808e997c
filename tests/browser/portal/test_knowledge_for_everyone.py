"""The pages of the knowledge base for everybody: axe finds nothing, nothing is wider than a phone."""

import pytest
from playwright.sync_api import Page

from tests.browser.looks import visited
from tests.browser.portal.conftest import Visit

pytestmark = pytest.mark.browser

PAGES = {
    None: ["/knowledge?q=pasword", "/knowledge/reset-your-password", "/news", "/downloads", "/troubleshooter"],
    "sam": ["/staff/articles", "/staff/articles/new", "/staff/troubleshooter", "/staff/troubleshooter/new",
            "/staff/downloads"],
    "alex": ["/staff/articles/publishers"],
}  # fmt: skip


@pytest.mark.parametrize("who", list(PAGES))
def test_pages_suit_everybody(visit: Visit, who: str | None) -> None:
    page = visit(who)
    faults = [fault for path in [*PAGES[who], *_found(page, who)] for fault in visited(page, path)]
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
