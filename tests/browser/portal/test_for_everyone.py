"""Every page for everybody: no accessibility fault axe can find, nothing wider than a phone, both colour schemes."""

import pytest
from playwright.sync_api import Page

from tests.browser.looks import visited
from tests.browser.portal.conftest import Visit

pytestmark = pytest.mark.browser

PAGES = {
    None: ["/login", "/knowledge", "/knowledge/tips-for-a-good-ticket", "/api/v1/docs", "/api/v1/docs/tickets"],
    "carol": ["/", "/cases?status=all", "/cases?q=nothing-like-it", "/requests/new", "/requests/new/level-1",
              "/settings"],
    "sam": ["/staff/tickets?status=all", "/staff/tickets/1001", "/staff/tickets/1001/transfer",
            "/staff/tickets/1001/delete", "/staff/tickets/new"],
    "alex": ["/staff/offer", "/staff/offer/types/new"],
}  # fmt: skip


@pytest.mark.parametrize("who", list(PAGES))
def test_pages_suit_everybody(visit: Visit, who: str | None) -> None:
    page = visit(who)
    faults = [fault for path in [*PAGES[who], *_own_case(page, who)] for fault in visited(page, path)]
    assert not faults, "\n".join(faults)


def _own_case(page: Page, who: str | None) -> list[str]:
    """The tabs of a case of a customer."""
    if who != "carol":
        return []
    page.goto("/cases?status=all")
    case = page.locator("td .number").first.get_attribute("href")
    return [f"{case}", f"{case}/comments", f"{case}/files"]
