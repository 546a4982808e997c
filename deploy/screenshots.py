"""Takes the pictures of the documentation from a running product with demo data: `make screenshots`.

Each page is taken at desktop and phone width, in light and dark; the README shows some of the desktop ones.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, sync_playwright

from deploy.local.plan import DEMO_PASSWORD

IMAGES = Path(__file__).parents[1] / "docs" / "images"
ALL = Path(__file__).parents[1] / "test-results" / "screenshots"
CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
LOOKS = {"": (1280, "light"), "-dark": (1280, "dark"), "-phone": (390, "light"), "-phone-dark": (390, "dark")}
LOG_IN = {"CONSOLE": "/log-in"}
_START_SECONDS = 90


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One page as one person sees it."""

    name: str
    service: str
    path: str
    person: str | None = None
    in_readme: bool = False
    follow: str = ""
    """A selector to click before the picture is taken."""


SHOTS = (
    Shot(name="portal-login", service="PORTAL", path="/login"),
    Shot(name="portal-register", service="PORTAL", path="/register"),
    Shot(name="portal-forgot", service="PORTAL", path="/password/forgot"),
    Shot(name="portal-guest-look-up", service="PORTAL", path="/guest"),
    Shot(name="portal-guest-form", service="PORTAL", path="/guest/new"),
    Shot(name="portal-security", service="PORTAL", path="/settings/security", person="carol"),
    Shot(name="portal-authenticator", service="PORTAL", path="/settings/two-factor/authenticator", person="carol"),
    Shot(name="portal-company-cases", service="PORTAL", path="/cases?status=all", person="peter"),
    Shot(name="portal-home", service="PORTAL", path="/", person="carol"),
    Shot(name="portal-type", service="PORTAL", path="/requests/new", person="carol"),
    Shot(name="portal-form", service="PORTAL", path="/requests/new/level-1", person="carol"),
    Shot(name="portal-cases", service="PORTAL", path="/cases", person="carol"),
    Shot(name="portal-ticket", service="PORTAL", path="/tickets/1001", person="carol", in_readme=True),
    Shot(name="portal-knowledge", service="PORTAL", path="/knowledge", person="carol"),
    Shot(name="staff-queue", service="PORTAL", path="/staff/tickets", person="sam"),
    Shot(name="staff-ticket", service="PORTAL", path="/staff/tickets/1001", person="sam"),
    Shot(name="staff-registrations", service="PORTAL", path="/staff/registrations", person="alex"),
    Shot(name="crm-cases", service="CRM", path="/cases", person="anna"),
    Shot(name="crm-case", service="CRM", path="/cases", person="anna", in_readme=True, follow="tbody tr a"),
    Shot(name="crm-contacts", service="CRM", path="/contacts", person="anna"),
    Shot(name="console", service="CONSOLE", path="/", person="alex", in_readme=True),
    Shot(name="console-failures", service="CONSOLE", path="/failures", person="alex"),
    Shot(name="mails", service="MAILS", path="/"),
)


def main() -> int:
    executable = next((path for path in CHROMIUM if Path(path).exists()), None)
    if executable is None:
        print(f"No Chromium here: install it, so that one of {', '.join(CHROMIUM)} exists.", file=sys.stderr)
        return 1
    IMAGES.mkdir(exist_ok=True)
    ALL.mkdir(parents=True, exist_ok=True)
    with running_product() as urls, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        for look, (width, scheme) in LOOKS.items():
            take_all(browser, urls, look=look, width=width, scheme=scheme)
        browser.close()
    print(f"{len(SHOTS) * len(LOOKS)} pictures in {ALL}; those of the README in {IMAGES}")
    return 0


def take_all(browser: Browser, urls: dict[str, str], *, look: str, width: int, scheme: str) -> None:
    for shot in SHOTS:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
            timezone_id="Europe/Amsterdam",
        )
        page = context.new_page()
        open_page(page, urls[shot.service], shot)
        page.screenshot(path=ALL / f"{shot.name}{look}.png", full_page=True)
        if shot.in_readme and not look:
            page.screenshot(path=IMAGES / f"{shot.name}.png")
        context.close()


def open_page(page: Page, url: str, shot: Shot) -> None:
    if shot.person:
        page.goto(f"{url}{LOG_IN.get(shot.service, '/login')}")
        page.locator("[name=username]").fill(shot.person)
        page.locator("[name=password]").fill(DEMO_PASSWORD)
        page.locator("[name=password]").press("Enter")
        page.wait_for_url(lambda at: "/log" not in at)
    answer = page.goto(f"{url}{shot.path}")
    if answer is None or not answer.ok:
        raise RuntimeError(f"{shot.name}: {url}{shot.path} cannot be shown")
    if shot.follow:
        page.locator(shot.follow).first.click()
        page.wait_for_load_state()


@contextmanager
def running_product() -> Iterator[dict[str, str]]:
    """The whole product with demo data in a folder of its own; its URLs by service."""
    ports = {f"{service}_PORT": str(free_port()) for service in ("PORTAL", "CONSOLE", "CRM", "MAILS")}
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, **ports, "CASEBRIDGE_HOME": home}
        process = subprocess.Popen([sys.executable, "-m", "shared.cli", "up"], env=environment)
        urls = {name.removesuffix("_PORT"): f"http://127.0.0.1:{port}" for name, port in ports.items()}
        try:
            wait_until_ready(process, urls)
            time.sleep(5)  # until the demo tickets have their Cases and the figures have settled
            yield urls
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def wait_until_ready(process: subprocess.Popen[bytes], urls: dict[str, str]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    for url in urls.values():
        while not answers(f"{url}/readyz"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the product did not start; see above")
            time.sleep(0.5)


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:  # noqa: S310 (a loopback address of ours)
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
