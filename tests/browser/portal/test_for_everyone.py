"""Every page for everybody: no accessibility fault axe can find, nothing wider than a phone, both colour schemes."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.portal.conftest import Visit

pytestmark = pytest.mark.browser

PAGES = {
    None: ["/login", "/knowledge", "/knowledge/tips-for-a-good-ticket"],
    "carol": ["/", "/cases?status=all", "/cases?q=nothing-like-it", "/requests/new", "/requests/new/level-1",
              "/settings"],
    "sam": ["/staff/tickets?status=all", "/staff/tickets/1001", "/staff/tickets/1001/transfer",
            "/staff/tickets/1001/delete", "/staff/tickets/new"],
}  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("who", list(PAGES))
def test_pages_suit_everybody(visit: Visit, who: str | None, width: int, scheme: str) -> None:
    page = visit(who, viewport={"width": width, "height": 844}, color_scheme=scheme)
    faults = []
    for path in [*PAGES[who], *_own_case(page, who)]:
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


def _own_case(page: Page, who: str | None) -> list[str]:
    """The tabs of a case of a customer."""
    if who != "carol":
        return []
    page.goto("/cases?status=all")
    case = page.locator("td .number").first.get_attribute("href")
    return [f"{case}", f"{case}/comments", f"{case}/files"]
