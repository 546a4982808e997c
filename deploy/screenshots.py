"""Pictures every page of a running product with demo data: `make screenshots`.

Each page of deploy/screen_list.py is taken at desktop and phone width, in light and dark, after deploy/screen_story.py
has given it something to show; the README shows some of the desktop ones.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, sync_playwright

from deploy.screen_list import SHOTS, Shot
from deploy.screen_story import Cast, tell

_MAPPING = Path(__file__).parents[1] / "crm_sync_service" / "mappings" / "desk.toml"
IMAGES = Path(__file__).parents[1] / "docs" / "images"
ALL = Path(__file__).parents[1] / "test-results" / "screenshots"
CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
LOOKS = {"": (1280, "light"), "-dark": (1280, "dark"), "-phone": (390, "light"), "-phone-dark": (390, "dark")}
_START_SECONDS = 90
_BROKEN = 500


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
        cast = Cast(browser, urls)
        known = tell(cast)
        troubles = [trouble for look in LOOKS for trouble in take_all(cast, known, look=look)]
        browser.close()
    print(f"{len(SHOTS) * len(LOOKS) - len(troubles)} pictures in {ALL}; those of the README in {IMAGES}")
    print("\n".join(troubles), file=sys.stderr)
    return 1 if troubles else 0


def take_all(cast: Cast, known: Mapping[str, str], *, look: str, names: str = "") -> list[str]:
    """One picture of each page whose name begins with `names`; returns what cannot be shown, in words."""
    width, scheme = LOOKS[look]
    troubles = []
    shots = sorted((shot for shot in SHOTS if shot.name.startswith(names)), key=_window)
    for (service, person), of_window in groupby(shots, key=_window):
        page = cast.open(service, person or None, viewport={"width": width, "height": 900}, color_scheme=scheme)
        for shot in of_window:
            try:
                take(page, shot, known, look=look)
            except (KeyError, PlaywrightError, RuntimeError) as error:
                troubles.append(f"{shot.name}{look}: {error!r}")
        page.context.close()
    return troubles


def _window(shot: Shot) -> tuple[str, str]:
    return shot.service, shot.person or ""


def take(page: Page, shot: Shot, known: Mapping[str, str], *, look: str) -> None:
    answer = page.goto(shot.path.format(**known))
    if answer is None or answer.status >= _BROKEN:
        raise RuntimeError("cannot be shown")
    page.screenshot(path=ALL / f"{shot.name}{look}.png", full_page=True)
    if shot.in_readme and not look:
        page.screenshot(path=IMAGES / f"{shot.name}.png")


@contextmanager
def running_product() -> Iterator[dict[str, str]]:
    """The whole product with demo data in a folder of its own; its URLs by service."""
    ports = {f"{service}_PORT": str(free_port()) for service in ("PORTAL", "CONSOLE", "CRM", "MAILS")}
    with tempfile.TemporaryDirectory() as folder:
        mapping = Path(folder) / "mapping.toml"
        mapping.write_text(_asks_about_priorities(_MAPPING.read_text(encoding="utf-8")), encoding="utf-8")
        environment = {**os.environ, **ports, "CASEBRIDGE_HOME": f"{folder}/home", "CRM_MAPPING": str(mapping)}
        process = subprocess.Popen([sys.executable, "-m", "shared.cli", "up"], env=environment)
        urls = {name.removesuffix("_PORT"): f"http://127.0.0.1:{port}" for name, port in ports.items()}
        try:
            wait_until_ready(process, urls)
            time.sleep(5)  # until the demo tickets have their Cases and the figures have settled
            yield urls
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def _asks_about_priorities(mapping: str) -> str:
    """The shipped mapping file, with one field for which a person decides: the console shows a conflict."""
    before, field, after = mapping.partition("[fields.priority]")
    return before + field + after.replace('policy = "crm"', 'policy = "ask"', 1)


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
