"""Getting in, in a real browser: registration, new passwords, sessions, guests, second steps, the company log-in."""

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select
from werkzeug.serving import make_server

from portal_service import site
from portal_service.app import create_app
from portal_service.base import open_database
from portal_service.channels.models import OutgoingMail
from portal_service.demo import PASSWORD, load_demo
from portal_service.models import Base
from portal_service.settings import PortalSettings, SsoSettings
from shared.clock import utc_now
from shared.database import Database
from tests.browser.looks import visited
from tests.browser.portal.conftest import _settings
from tests.portal_service.people.provider import CLIENT_ID, CLIENT_SECRET, TestProvider, running_provider
from tests.stack import free_ports

pytestmark = pytest.mark.browser

PHRASE = "four words in a row"
Enter = Callable[..., Page]


@dataclass(frozen=True)
class Door:
    """A portal under a name, because passkeys belong to names, with its mails and its company log-in."""

    settings: PortalSettings
    database: Database
    provider: TestProvider

    def mailed_path(self, recipient: str) -> str:
        """Where the newest mail to somebody leads."""
        with self.database.read() as session:
            query = select(OutgoingMail.text).where(OutgoingMail.recipient == recipient)
            text = session.scalars(query.order_by(OutgoingMail.created_at.desc())).first() or ""
        return re.findall(rf"{self.settings.common.portal_url}(/\S+)", text)[-1]


@pytest.fixture(scope="module")
def open_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    home, port = tmp_path_factory.mktemp("door"), free_ports(1)[0]
    with running_provider() as provider:
        provider.asks_first = True
        sso = SsoSettings(issuer=provider.url, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, name="Acme ID")
        settings = replace(_settings(home, f"http://localhost:{port}"), sso=sso)
        site.use(settings.common)
        database = open_database(settings.database_url)
        Base.metadata.create_all(database.engine)
        with database.write() as session:
            load_demo(session, utc_now())
        app = create_app(settings)
        server = make_server("127.0.0.1", port, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Door(settings, database, provider)
        server.shutdown()
        thread.join()
        server.server_close()
        app.extensions["portal_sso"].close()
        app.extensions["portal"].database.dispose()
        database.dispose()


@pytest.fixture
def door(open_door: Door, monkeypatch: pytest.MonkeyPatch) -> Door:
    """Links of this test lead to this portal, whichever other one was started in this process."""
    monkeypatch.setattr(site, "_current", [])
    site.use(open_door.settings.common)
    return open_door


@pytest.fixture
def enter(chromium: Browser, door: Door) -> Iterator[Enter]:
    """Opens a browser of its own, for somebody or for nobody. Fails on script errors."""
    opened: list[Page] = []
    troubles: list[str] = []

    def open_(username: str | None = None, **options: object) -> Page:
        url = door.settings.common.portal_url
        context = chromium.new_context(base_url=url, locale="en-GB", **options)  # type: ignore[arg-type]
        context.set_default_timeout(30_000)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda said: troubles.append(said.text) if "Content Security" in said.text else None)
        opened.append(page)
        if username is not None:
            log_in(page, username)
            page.wait_for_url(lambda at: "/login" not in at)
        return page

    yield open_
    for page in opened:
        page.context.close()
    assert not troubles


def log_in(page: Page, username: str, password: str = PASSWORD) -> None:
    page.goto("/login")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("main").get_by_role("button", name="Log in").click()


def test_registering_confirming_approving_logging_in(enter: Enter, door: Door) -> None:
    zoe, sam = enter(), enter("sam")
    zoe.goto("/login")
    zoe.get_by_role("main").get_by_role("link", name="Register").click()
    zoe.get_by_label("Your name").fill("Zoe Zonneveld")
    zoe.get_by_label("Company").fill("Acme")
    zoe.get_by_label("E-mail address").fill("zoe@acme.example")
    zoe.get_by_label("Desired user name").fill("zoe")
    zoe.get_by_label("Desired password").fill("qwertyuiop")
    zoe.get_by_role("button", name="Register").click()
    expect(zoe.get_by_label("Desired password")).to_have_attribute("aria-invalid", "true")
    expect(zoe.get_by_label("Company")).to_have_value("Acme")
    zoe.get_by_label("Desired password").fill(PHRASE)
    zoe.get_by_role("button", name="Register").click()
    expect(zoe.get_by_role("main")).to_contain_text("We sent a mail to zoe@acme.example")

    zoe.goto(door.mailed_path("zoe@acme.example"))
    zoe.get_by_label("Password").fill(PHRASE)
    zoe.get_by_role("button", name="Confirm").click()
    expect(zoe.get_by_role("heading", level=1)).to_have_text("Your address is confirmed")
    log_in(zoe, "zoe", PHRASE)
    expect(zoe.get_by_role("alert")).to_contain_text("has not been approved yet")

    sam.goto("/staff/tickets")
    sam.get_by_role("link", name="Registrations").first.click()
    sam.get_by_role("link", name="Zoe Zonneveld").click()
    sam.get_by_label("Account").select_option(label="Acme Instruments")
    sam.get_by_role("button", name="Approve").click()
    expect(sam.get_by_role("status").first).to_contain_text("Zoe Zonneveld can log in now")

    zoe.goto(door.mailed_path("zoe@acme.example"))
    log_in(zoe, "zoe", PHRASE)
    expect(zoe.get_by_role("main")).to_contain_text("Hello Zoe Zonneveld")


def test_a_forgotten_password_is_replaced_by_mail(enter: Enter, door: Door) -> None:
    elsewhere, page = enter("erin"), enter()
    page.goto("/login")
    page.get_by_role("link", name="Forgot your password?").click()
    page.get_by_label("E-mail address or user name").fill("erin@initech.example")
    page.get_by_role("button", name="Send the link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Look into your mail")
    link = door.mailed_path("erin@initech.example")
    page.goto(link)
    page.get_by_label("New password").fill(PHRASE)
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_role("status")).to_contain_text("Your new password is set")
    log_in(page, "erin", PHRASE)
    expect(page.get_by_role("main")).to_contain_text("Hello Erin")
    elsewhere.goto("/cases")
    expect(elsewhere).to_have_url(re.compile("/login"))
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_have_text("This link no longer works")


def test_browsers_are_listed_and_logged_out(enter: Enter) -> None:
    desktop, phone = enter("li"), enter("li")
    desktop.get_by_role("banner").locator("summary").click()
    desktop.get_by_role("link", name="Security").click()
    expect(desktop.get_by_text("This browser")).to_have_count(1)
    desktop.get_by_role("button", name="Log out Chrome").click()
    expect(desktop.get_by_role("status")).to_have_text("That browser is logged out.")
    phone.goto("/cases")
    expect(phone).to_have_url(re.compile("/login"))


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_guest_files_comes_back_and_answers(enter: Enter, door: Door, tmp_path: Path, scripts: bool) -> None:
    page = enter(java_script_enabled=scripts, timezone_id="Europe/Amsterdam")
    (tmp_path / "log.txt").write_text("the log")
    page.goto("/login")
    page.get_by_role("link", name="Submit a request as a guest").click()
    for label, value in (("Your name", "Gina"), ("Company", "New Inc"), ("Phone number", "call me")):
        page.get_by_label(label).fill(value)
    page.get_by_label("E-mail address").fill(f"gina{scripts}@new.example")
    page.get_by_label("Type of request").select_option(label="Level 1 support")
    page.get_by_label("Whom to assign it to").select_option(label="Sam Peters")
    page.get_by_label("Category").select_option(label="Other")
    page.get_by_label("Something that worked is broken").check()
    page.get_by_label("Description").fill("I cannot get in.")
    page.get_by_label("When may we phone you?").fill(f"{utc_now().date() + timedelta(days=10)}T10:00")
    expect(page.get_by_label("Time zone")).to_have_value("Europe/Amsterdam" if scripts else "UTC")
    page.get_by_label("Files").set_input_files(tmp_path / "log.txt")
    page.get_by_role("button", name="Submit the request").click()
    expect(page.locator("#subject:invalid")).to_be_focused()  # S05: every field is required, so nothing was sent
    page.get_by_label("Subject").fill("The door is shut")
    page.get_by_role("button", name="Submit the request").click()
    expect(page.locator("#phone-about")).to_contain_text("Please give a phone number")
    expect(page.get_by_label("Description")).to_have_value("I cannot get in.")
    page.get_by_label("Phone number").fill("+31 20 123 4567")
    page.get_by_role("button", name="Submit the request").click()
    expect(page.locator(".access-key")).to_be_visible()
    number = page.get_by_role("heading", level=1).inner_text()
    key = page.locator(".access-key").inner_text()
    page.get_by_role("link", name=number).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The door is shut")

    later = enter(java_script_enabled=scripts)
    later.goto(f"/tickets/{number.removeprefix('#')}")
    expect(later).to_have_url(re.compile("/login"))
    later.get_by_role("main").get_by_role("link", name="Look up a ticket").click()
    later.get_by_label("Ticket number").first.fill(number)
    later.get_by_label("Access key").fill("wrong")
    later.get_by_role("button", name="Open the ticket").click()
    expect(later.get_by_text("No ticket fits this number and key.")).to_be_visible()
    later.get_by_label("Access key").fill(key.lower())
    later.get_by_role("button", name="Open the ticket").click()
    later.get_by_label("Your reply").fill("It opened by itself.")
    later.get_by_role("button", name="Send and mark as solved").click()
    expect(later.locator("article.entry").last).to_contain_text("It opened by itself.")
    with later.expect_download() as download:
        later.get_by_role("link", name="log.txt", exact=True).click()
    assert download.value.path().read_bytes() == b"the log"

    reader = enter(java_script_enabled=scripts)
    reader.goto(door.mailed_path(f"gina{scripts}@new.example"))
    reader.get_by_role("button", name="Yes, it is mine").click()
    expect(reader.get_by_role("status").first).to_contain_text("now we know that the address is yours")
    if scripts:
        faults = visited(reader, f"/guest/tickets/{number.removeprefix('#')}")
        assert not faults, "\n".join(faults)
    reader.goto("/cases")
    expect(reader).to_have_url(re.compile("/login"))


def test_a_colleagues_cases_are_seen_once_they_are_granted(enter: Enter) -> None:
    alex, carol, peter = enter("alex"), enter("carol"), enter("peter")
    peter.goto("/requests/new/billing")
    peter.get_by_label("Product", exact=True).select_option(label="Report Builder")
    peter.locator("#subject").fill("Only of Peter")
    peter.locator("#description").fill("Words")
    peter.locator("main button.primary").click()
    number = re.findall(r"/requests/(\d+)/", peter.url)[0]
    carol.goto("/cases")
    expect(carol.get_by_text("Only of Peter")).to_have_count(0)

    alex.goto("/staff/tickets?q=Monthly+report")
    alex.get_by_role("link", name="Monthly report").click()
    alex.get_by_role("link", name="Access").click()
    alex.get_by_label("Account", exact=True).select_option(label="Acme Instruments")
    alex.get_by_label("What for").select_option(label="Read all tickets of the account")
    alex.get_by_role("button", name="Save").click()
    expect(alex.get_by_role("status")).to_have_text("Saved.")

    carol.reload()
    carol.get_by_role("link", name="Only of Peter").click()
    expect(carol).to_have_url(re.compile(f"/cases/{number}"))
    carol.goto("/cases")
    carol.get_by_role("link", name="Mine").click()
    expect(carol.get_by_text("Only of Peter")).to_have_count(0)


def test_an_authenticator_app_and_a_recovery_code(enter: Enter) -> None:
    page = enter("tariq")
    page.goto("/settings/security")
    page.get_by_role("link", name="Set up the app").click()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    secret = page.locator(".access-key").inner_text()
    page.get_by_label("Code").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Turn it on").click()
    expect(page.locator(".codes li")).to_have_count(10)
    codes = page.locator(".codes li").all_inner_texts()
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("your password alone lets nobody in")).to_be_visible()

    other = enter()
    log_in(other, "tariq")
    other.get_by_label("Code").fill("000000")
    other.get_by_role("main").get_by_role("button", name="Log in").click()
    expect(other.get_by_text("This code is wrong or was used already.")).to_be_visible()
    other.get_by_label("Code").fill(codes[3].upper())
    other.get_by_role("main").get_by_role("button", name="Log in").click()
    expect(other).to_have_url(re.compile("/staff/tickets"))


def add_virtual_authenticator(page: Page) -> None:
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_a_passkey_is_made_and_logs_in_alone_or_after_the_password(enter: Enter) -> None:
    page = enter("dave")
    add_virtual_authenticator(page)
    page.goto("/settings/security")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill("My laptop")
    page.get_by_role("button", name="Make the passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("My laptop")).to_be_visible()

    log_out(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("main")).to_contain_text("Hello Dave")
    page.goto("/settings/security")
    expect(page.get_by_text("with a passkey")).to_be_visible()

    log_out(page)
    log_in(page, "dave")
    expect(page.get_by_role("heading", level=1)).to_have_text("Second step")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("main")).to_contain_text("Hello Dave")

    page.goto("/settings/security")
    page.get_by_role("button", name="Remove My laptop").click()
    expect(page.get_by_role("status")).to_have_text("The passkey is removed.")
    log_out(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("This passkey was not accepted.")


def log_out(page: Page) -> None:
    page.get_by_role("banner").locator("summary").click()
    page.get_by_role("banner").get_by_role("button", name="Log out").click()
    expect(page).to_have_url(re.compile("/login"))


def test_the_company_log_in(enter: Enter, door: Door) -> None:
    door.provider.person = {"sub": "nora-1", "email": "nora@support.example", "email_verified": True}
    page = enter()
    page.goto("/staff/tickets?status=all")
    page.get_by_role("link", name="Log in with Acme ID").click()
    page.get_by_role("link", name="Continue as nora-1").click()
    expect(page).to_have_url(re.compile(r"/staff/tickets\?status=all"))
    page.goto("/settings/security")
    expect(page.get_by_text("through the company log-in")).to_be_visible()


def test_the_pages_suit_everybody(enter: Enter, door: Door) -> None:
    page = enter()
    faults = []
    for path in ("/login", "/register", "/register/sent", "/register/confirmed", "/password/forgot", "/password/sent",
                 "/guest", "/guest/new"):  # fmt: skip
        faults += visited(page, path)
    log_in(page, "alex")
    page.wait_for_url("**/staff/tickets")
    with door.database.read() as session:
        contact = session.execute(select(Base.metadata.tables["contacts"].c.id)).scalars().first()
    for path in ("/settings/security", "/settings/two-factor/again", "/settings/two-factor/authenticator",
                 "/settings/two-factor/passkey", "/staff/registrations", f"/staff/contacts/{contact}"):  # fmt: skip
        faults += visited(page, path)
    assert not faults, "\n".join(faults)
