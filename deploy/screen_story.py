"""What has to happen in a running product before each of its pages has something to show, done as people do it."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx
import pyotp
from playwright.sync_api import Browser, FilePayload, Page, StorageState

from deploy.local.plan import DEMO_PASSWORD

LOG_IN = {"CONSOLE": "/log-in"}
PHRASE = "four words in a row"
_MOST_SECONDS = 60
_APPLICANTS = ("zoe", "yara")
_WORDS = "The screen stays grey after the gateway was replaced.\n\nThe lamp of the new one blinks twice, then stops."
T = TypeVar("T")
_UUID = "[0-9a-f]{8}-[0-9a-f-]{27}"


@dataclass(frozen=True)
class Cast:
    """The browsers of a running product."""

    browser: Browser
    urls: Mapping[str, str]
    states: dict[tuple[str, str], StorageState] = field(default_factory=dict)
    """Cookies by service and person; a log-in is made once."""

    def open(self, service: str, person: str | None = None, **options: Any) -> Page:
        """A window of somebody who is logged in; the caller closes its context."""
        state = self._state(service, person) if person else None
        return self._window(service, state, **options)

    def _window(self, service: str, state: StorageState | None, **options: Any) -> Page:
        context = self.browser.new_context(
            base_url=self.urls[service], storage_state=state, timezone_id="Europe/Amsterdam", locale="en-GB", **options
        )
        context.set_default_timeout(_MOST_SECONDS / 4 * 1000)
        return context.new_page()

    def _state(self, service: str, person: str) -> StorageState:
        if (service, person) not in self.states:
            page = self._window(service, None)
            log_in(page, LOG_IN.get(service, "/login"), person)
            page.wait_for_url(lambda at: "/log" not in at)
            self.keep(page, service, person)
        return self.states[service, person]

    def keep(self, page: Page, service: str, person: str) -> None:
        """Let this window's cookies be those of a person, and close it."""
        self.states[service, person] = page.context.storage_state()
        page.context.close()

    def mailed(self, words: str) -> str:
        """The path of the last link in the newest mail that has these words."""
        mails = until(lambda: httpx.get(f"{self.urls['MAILS']}/api/mails", params={"q": words}).json()["mails"])
        return str(re.findall(rf"{self.urls['PORTAL']}(/\S+)", mails[0]["text"])[-1])


def until(look: Callable[[], T]) -> T:
    """What `look` finds, as soon as it finds anything. Raises RuntimeError."""
    deadline = time.monotonic() + _MOST_SECONDS
    while not (found := look()):
        if time.monotonic() > deadline:
            raise RuntimeError("what the pictures need did not happen")
        time.sleep(0.5)
    return found


def log_in(page: Page, path: str, person: str) -> None:
    page.goto(path)
    page.locator("[name=username]").fill(person)
    page.locator("[name=password]").fill(DEMO_PASSWORD)
    page.locator("[name=password]").press("Enter")


def fill(page: Page, path: str, entries: Mapping[str, str], *, form: str = "form", press: str = ".primary") -> str:
    """Fill in a form of a page by the names of its fields and send it; returns the address it leads to."""
    page.goto(path)
    page.locator(f"main details:has({form})").evaluate_all("all => all.forEach(one => (one.open = true))")
    for name, value in entries.items():
        enter(page, name, value, form=form)
    with page.expect_navigation():
        page.locator(f"main {form} button{press}").first.click()
    return page.url


def enter(page: Page, name: str, value: str, *, form: str = "form") -> None:
    """An entry of a form: the text of a choice, the value of a box, else what is typed."""
    entry = page.locator(f"main {form} [name='{name}']:not([type=hidden])")
    if entry.first.evaluate("one => one.tagName") == "SELECT":
        entry.first.select_option(label=value)
    elif entry.first.get_attribute("type") in ("radio", "checkbox"):
        page.locator(f"main [name='{name}'][value='{value}']").check()
    else:
        entry.first.fill(value)


def link(page: Page, path: str, pattern: str) -> str:
    """The first group of `pattern` in the first link of a page's content that fits it."""
    page.goto(path)
    for one in page.locator("main a").all():
        if found := re.search(pattern, one.get_attribute("href") or ""):
            return found.group(1)
    raise RuntimeError(f"{page.url} has no link like {pattern}")


def tell(cast: Cast) -> dict[str, str]:
    """Let it all happen; returns what the addresses in screen_list name."""
    known = {"request_type": "level-1", "article": "sync-engine-does-not-start"}
    for step in _STEPS:
        known |= step(cast, known)
    return known


def _guest(cast: Cast, _known: Mapping[str, str]) -> dict[str, str]:
    page = cast.open("PORTAL", java_script_enabled=False)
    fill(page, "/guest/new", {
        "name": "Gina Ferrara", "company": "Ferrara Optics", "phone": "+31 20 123 4567",
        "email": "gina@ferrara.example",
        "type": "Level 1 support", "favourite": "Sam Peters", "category_id": "Other", "nature": "incident",
        "subject": "The grey screen after replacing a gateway", "description": _WORDS,
        "call_time": f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}T10:00",
    }, form="form[data-draft]")  # fmt: skip
    number = page.locator("h1").inner_text().strip().lstrip("#")
    cast.keep(page, "PORTAL", "gina")
    return {"guest_ticket": number}


def _registrations(cast: Cast, _known: Mapping[str, str]) -> dict[str, str]:
    page = cast.open("PORTAL")
    for name in _APPLICANTS:
        fill(page, "/register", {
            "name": f"{name.title()} Zonneveld", "company": "Acme", "email": f"{name}@acme.example", "username": name,
            "password": PHRASE,
        })  # fmt: skip
    fill(page, cast.mailed(f"{_APPLICANTS[0]}@acme.example"), {"password": PHRASE})
    fill(page, "/password/forgot", {"who": "erin@initech.example"})
    confirm = cast.mailed(f"{_APPLICANTS[1]}@acme.example").rpartition("/")[2]
    reset = cast.mailed("erin@initech.example").rpartition("/")[2]
    page.context.close()
    alex = cast.open("PORTAL", "alex")
    found = {
        "registration": link(alex, "/staff/registrations", rf"/staff/registrations/({_UUID})"),
        "staff": link(alex, "/staff/people", rf"/staff/people/({_UUID})"),
        "offered": link(alex, "/staff/offer", rf"/staff/offer/types/({_UUID})"),
        "contact": link(alex, "/staff/tickets/new?q=Carol", rf"/staff/tickets/new/({_UUID})"),
    }
    alex.context.close()
    return {"confirm": confirm, "reset": reset, **found}


def _second_step(cast: Cast, _known: Mapping[str, str]) -> dict[str, str]:
    page = cast.open("PORTAL", "dave")
    page.goto("/settings/two-factor/authenticator")
    enter(page, "code", pyotp.TOTP(page.locator(".access-key").inner_text()).now())
    page.locator("main button.primary").click()
    page.locator(".codes").wait_for()
    page.context.close()
    halfway = cast.open("PORTAL")
    log_in(halfway, "/login", "dave")
    halfway.wait_for_url("**/login/second*")
    cast.keep(halfway, "PORTAL", "dave-halfway")
    return {}


def _customer(cast: Cast, _known: Mapping[str, str]) -> dict[str, str]:
    page = cast.open("PORTAL", "carol", viewport={"width": 1280, "height": 900})
    page.goto("/requests/new/level-2")
    page.locator("details.more summary").click()
    page.locator("main input[type=file][multiple]").set_input_files(
        [
            FilePayload(name="gateway.log", mimeType="text/plain", buffer=b"02:00 no answer\n" * 900),
            FilePayload(name="the screen.png", mimeType="image/png", buffer=page.screenshot()),
        ]
    )
    for name, value in {
        "product_id": "Sensor Gateway", "subject": "Grey screen since the new gateway", "description": _WORDS,
        "call_time": f"{datetime.now(UTC) + timedelta(days=3):%Y-%m-%d}T14:30", "module": "Start screen",
    }.items():  # fmt: skip
        enter(page, name, value)
    page.locator("main button.primary").click()
    page.wait_for_url("**/received")
    filed = re.findall(r"/requests/(\d+)/", page.url)[0]
    fill(page, "/requests/new/billing", {"subject": "Invoice of November", "description": "The amount is that of"},
         press="[formnovalidate]")  # fmt: skip
    fill(page, "/settings/tokens/new", {"name": "Nightly report", "read": "yes"})
    case = link(page, "/cases?status=all&q=Monthly", r"/cases/(\d+)")
    topic = link(page, "/api/v1/docs", r"/docs/([\w-]+)")
    question = link(page, "/troubleshooter", rf"/troubleshooter/({_UUID})")
    option = link(page, f"/troubleshooter/{question}", rf"/troubleshooter/answer/({_UUID})")
    page.context.close()
    return {"filed": filed, "case": case, "question": question, "topic": topic, "option": option}


def _staff(cast: Cast, _known: Mapping[str, str]) -> dict[str, str]:
    page = cast.open("PORTAL", "sam")
    closed = link(page, "/staff/tickets?status=all&q=Factuur", r"/staff/tickets/(\d+)")
    article = link(page, "/staff/articles?q=engine", rf"/staff/articles/({_UUID})")
    page.context.close()
    customer = cast.open("PORTAL", "li")
    request = {"category_id": "Other", "subject": "Please ignore, a test", "description": "x"}
    number = re.findall(r"/requests/(\d+)/", fill(customer, "/requests/new/level-1", request))[0]
    customer.context.close()
    page = cast.open("PORTAL", "sam")
    fill(page, f"/staff/tickets/{number}/delete", {}, press=".danger")
    page.context.close()
    return {"closed": closed, "article_id": article}


def _account_manager(cast: Cast, known: Mapping[str, str]) -> dict[str, str]:
    page = cast.open("CRM", "anna")
    until(lambda: _has(page, f"/cases?q={known['filed']}", "tbody tr a"))
    found = {
        "crm_case": link(page, f"/cases?q={known['case']}", rf"/cases/({_UUID})"),
        "crm_contact": link(page, "/contacts?q=Carol", rf"/contacts/({_UUID})"),
        "crm_account": link(page, "/accounts?q=Acme", rf"/accounts/({_UUID})"),
    }
    page.context.close()
    return found


def _has(page: Page, path: str, selector: str) -> bool:
    page.goto(path)
    return page.locator(f"main {selector}").count() > 0


def _both_sides(cast: Cast, known: Mapping[str, str]) -> dict[str, str]:
    """While the CRM is paused, a priority is changed on both sides; then somebody deletes a Case."""
    page, sam, anna = cast.open("CONSOLE", "alex"), cast.open("PORTAL", "sam"), cast.open("CRM", "anna")
    fill(sam, f"/staff/tickets/{known['case']}", {"status": "Pending"}, form="form.properties", press="")
    fill(page, "/", {"why": "The CRM is being moved"}, form="form[action$='/pause']", press="")
    fill(sam, f"/staff/tickets/{known['case']}", {"priority": "Low"}, form="form.properties", press="")
    case = f"/cases/{known['crm_case']}"
    fill(anna, case, {"value": "Critical"}, form="form[action$='/priority']")
    fill(page, "/", {}, form="form[action$='/go-on']", press="")
    gone = link(anna, f"/cases?q={known['filed']}", rf"/cases/({_UUID})")
    fill(anna, f"/cases/{gone}/delete", {}, press=".danger")
    until(lambda: _has(page, "/conflicts", "article"))
    until(lambda: _has(page, "/failures", "table"))
    for one in (page, sam, anna):
        one.context.close()
    return {}


def _administrator(cast: Cast, known: Mapping[str, str]) -> dict[str, str]:
    page = cast.open("CONSOLE", "alex")
    page.goto(f"/tickets?q={known['case']}")
    ticket = page.url.rpartition("/")[2]
    product = f"/tickets/{ticket}/fields/product"
    fill(page, product, {"why": "Named otherwise in the CRM"}, form="form[action$='/skip']", press="")
    fill(page, f"/tickets/{ticket}", {}, form="form[action$='/retry']", press="")
    fill(page, "/drift", {}, form="form:has([value=compare])", press="")
    job = page.url.rpartition("/")[2]
    until(lambda: _has(page, "/drift", "td a[href*='/drift/']"))
    until(lambda: _has(page, f"/tickets/{ticket}", "a[href*='/at/']"))
    sam = cast.open("PORTAL", "sam")
    fill(sam, f"/staff/tickets/{known['case']}", {"status": "Open"}, form="form.properties", press="")
    sam.context.close()
    page.goto("/conflicts")
    found = {
        "conflict": re.findall(r"/conflicts/(\d+)", page.content())[0],
        "entry": link(page, f"/tickets/{ticket}", r"/at/(\d+)"),
        "note": page.request.get(f"/api/v1/tickets/{ticket}").json()["replies"][0]["id"],
        "failure": page.request.get("/api/v1/failures").json()["groups"][0]["key"],
        "drift_run": link(page, "/drift", r"/drift/(\d+)"),
        "action": link(page, "/actions", r"/actions/(\d+)"),
    }
    page.context.close()
    return {"sync_ticket": ticket, "job": job, **found}


def _mail(cast: Cast, _known: Mapping[str, str]) -> dict[str, str]:
    page = cast.open("MAILS")
    name = link(page, "/?q=Grey", r"/mails/([^/?]+)")
    page.context.close()
    return {"mail": name}


_STEPS = (
    _guest,
    _registrations,
    _second_step,
    _customer,
    _staff,
    _account_manager,
    _both_sides,
    _administrator,
    _mail,
)
