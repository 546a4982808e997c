"""The helper that looks at pages finds what is wrong in one look only."""

import pytest
from playwright.sync_api import Browser

from tests.browser.looks import faults, faults_in_every_look

pytestmark = pytest.mark.browser

_PAGE = """<!doctype html><html lang="en"><title>A page</title><meta name="viewport" content="width=device-width">
<style>
@media (prefers-color-scheme: dark) { body { background: #111; color: #222; } }
@media (max-width: 500px) { div { width: 600px; } }
</style><main><h1>Words</h1><div>More words</div></main></html>"""


def test_each_look_has_its_faults(chromium: Browser) -> None:
    page = chromium.new_page()
    page.set_content(_PAGE)
    found = faults_in_every_look(page)
    page.set_content("<html><body><img src='data:,'></body></html>")
    bad = faults(page)
    page.context.close()
    assert {fault[:9] for fault in found if "color-contrast" in fault} == {"1280 dark", "390 dark "}
    assert [fault for fault in found if "600" in fault or "wide in a window of 390" in fault]
    assert not [fault for fault in found if " light " in fault]
    assert any("image-alt" in fault for fault in bad)
