"""Makes the environment of this checkout and hands over to the task: `python3 deploy/bootstrap.py run`.

Needs only a Python with its standard library; `make` calls it. Repeating it costs nothing: the installation is done
again only when pyproject.toml, the Python or the wanted extras have changed.
"""

from __future__ import annotations

import argparse
import configparser
import hashlib
import html
import importlib.util
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "casebridge-installed.json"
DEFAULT_INDEX = "https://pypi.org/simple"
COMMANDS = {
    "run": ["-m", "shared.cli", "up"],
    "test": ["-m", "deploy.suite", "test"],
    "check": ["-m", "deploy.suite", "check"],
    "simulate": ["-m", "tests.simulation"],
    "chaos": ["-m", "deploy.suite", "chaos"],
    "bench": ["-m", "shared.cli", "bench", "sync"],
    "bench-portal": ["-m", "tests.benchmarks.portal"],
    "screenshots": ["-m", "deploy.screenshots"],
}
EXTRAS = {task: "" if task in {"run", "bench", "bench-portal"} else "dev" for task in COMMANDS}


class CannotSetUpError(Exception):
    """The environment cannot be made; the text says what to do."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Set up this checkout, then run a task in it.")
    parser.add_argument("task", choices=list(COMMANDS))
    parser.add_argument("--fresh", action="store_true", help="with run: delete the data of earlier runs first")
    parser.add_argument("options", nargs="*", help="simulate, chaos and benches: options of their own, behind --")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    try:
        check_python()
        set_up(EXTRAS[arguments.task])
    except CannotSetUpError as error:
        sys.exit(f"casebridge: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; run the same command again to go on")
    if arguments.task == "run" and "MAKELEVEL" in os.environ:
        os.environ["CASEBRIDGE_PARENT"] = str(os.getppid())  # a killed make takes the stack with it
    fresh = ["--fresh"] if arguments.fresh else []
    hand_over([*COMMANDS[arguments.task], *fresh, *arguments.options])


def check_python() -> None:
    if sys.version_info < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        found = ".".join(map(str, sys.version_info[:3]))
        raise CannotSetUpError(
            f"Python {wanted} or newer is needed, but {sys.executable} is {found}: install a newer one "
            f"(Debian 12, Ubuntu 24.04 and later have it) or name it: make run PYTHON=/path/to/python3"
        )


def set_up(extras: str) -> None:
    """Make sure that .venv has the project and the extras. Raises CannotSetUpError."""
    wanted = {
        "pyproject": hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest(),
        "python": sys.version,
        "root": str(ROOT),
    }
    if is_installed(wanted, extras):
        return
    started = time.monotonic()
    if not has_pip():
        say("making the environment in .venv")
        make_venv()
    say("installing; the first time this takes about a minute")
    install(f".[{extras}]" if extras else ".")
    STAMP.write_text(json.dumps({**wanted, "extras": extras}), encoding="utf-8")
    say(f"installed in {time.monotonic() - started:.0f} s")


def is_installed(wanted: dict[str, str], extras: str) -> bool:
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return PYTHON.exists() and wanted.items() <= stamp.items() and extras in {"", stamp.get("extras")}


def hand_over(arguments: list[str]) -> None:
    """Become the task, so that signals and the exit status need no passing on."""
    sys.stdout.flush()
    os.execv(PYTHON, [str(PYTHON), *arguments])  # noqa: S606 (no shell is wanted)


def has_pip() -> bool:
    """Whether .venv is whole; an interrupted first run leaves one that is not."""
    if not PYTHON.exists():
        return False
    check = [str(PYTHON), "-c", "import sys, pip; print(sys.version)"]
    result = subprocess.run(check, capture_output=True, text=True, check=False)
    return result.returncode == 0 and result.stdout.strip() == sys.version


def make_venv() -> None:
    """Debian keeps what venv needs for pip in packages of their own; there are ways round them."""
    if importlib.util.find_spec("venv") is None:
        apt_install("python3-venv")
    make = [sys.executable, "-m", "venv", "--clear"]
    if subprocess.run([*make, str(VENV)], capture_output=True, check=False).returncode != 0:
        run_quietly([*make, "--without-pip", str(VENV)])
        get_pip()


def get_pip() -> None:
    """Take pip from its index; where that fails and this is root, let apt bring it."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            wheel = download_pip(Path(folder))
            # A wheel is a zip file, and Python runs packages from zip files: this pip installs itself.
            run_quietly([str(PYTHON), f"{wheel}/pip", "install", "--quiet", "--no-index", str(wheel)])
    except (CannotSetUpError, OSError) as error:
        say(f"pip could not be downloaded ({error}); trying apt")
        apt_install("python3-venv")
        run_quietly([sys.executable, "-m", "venv", "--clear", str(VENV)])


def download_pip(folder: Path) -> Path:
    """The newest wheel of pip on the configured indexes, its hash checked where the index gives one."""
    found: dict[tuple[int, ...], str] = {}
    for index in indexes():
        found.update(pip_wheels(f"{index.rstrip('/')}/pip/"))
    if not found:
        raise CannotSetUpError(f"no pip on {', '.join(indexes())}")
    url, _, fragment = found[max(found)].partition("#")
    content = fetch(url)
    expected = dict(urllib.parse.parse_qsl(fragment)).get("sha256")
    if expected is not None and hashlib.sha256(content).hexdigest() != expected:
        raise CannotSetUpError(f"{url} was damaged or changed on its way")
    wheel = folder / url.rpartition("/")[2]
    wheel.write_bytes(content)
    return wheel


def pip_wheels(page_url: str) -> dict[tuple[int, ...], str]:
    try:
        page = fetch(page_url if not page_url.startswith("file:") else f"{page_url}index.html").decode()
    except OSError:
        return {}
    wheels = {}
    for link in re.findall(r'href="([^"]+)"', page):
        url = urllib.parse.urljoin(page_url, html.unescape(link))
        match = re.search(r"/pip-([0-9.]+)-py3-none-any\.whl(#|$)", url)
        if match:
            wheels[tuple(map(int, match[1].split(".")))] = url
    return wheels


def fetch(url: str) -> bytes:
    certificates = os.environ.get("PIP_CERT") or pip_setting("cert") or None
    context = ssl.create_default_context(cafile=certificates)
    with urllib.request.urlopen(url, timeout=60, context=context) as response:
        content: bytes = response.read()
    return content


def indexes() -> list[str]:
    """Where pip would look: its environment variables, its files, else PyPI."""
    first = os.environ.get("PIP_INDEX_URL") or pip_setting("index-url") or DEFAULT_INDEX
    more = os.environ.get("PIP_EXTRA_INDEX_URL") or pip_setting("extra-index-url")
    return [first, *more.split()]


def pip_setting(name: str) -> str:
    parser = configparser.RawConfigParser()
    home = Path.home()
    config = Path(os.environ.get("XDG_CONFIG_HOME", home / ".config"))
    files = ["/etc/xdg/pip/pip.conf", "/etc/pip.conf", home / ".pip/pip.conf", config / "pip/pip.conf"]
    parser.read([str(file) for file in files] + [os.environ.get("PIP_CONFIG_FILE", "")])
    return parser.get("install", name, fallback=parser.get("global", name, fallback=""))


def apt_install(*packages: str) -> None:
    """Raises CannotSetUpError where apt or the right to use it is missing."""
    names = " ".join(packages)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise CannotSetUpError(f"this Python has no way to get pip: run `sudo apt-get install {names}`, then try again")
    say(f"apt-get install {names}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run_quietly(["apt-get", "update", "-q"], environment)
    run_quietly(["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages], environment)


def run_quietly(command: list[str], environment: dict[str, str] | None = None) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if result.returncode != 0:
        raise CannotSetUpError(f"`{' '.join(command)}` failed:\n{(result.stdout + result.stderr)[-2000:]}")


def install(what: str) -> None:
    """pip, with one line that shows how far it is. Raises CannotSetUpError with pip's own last words."""
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--editable", what]
    said: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None
        progress = Progress()
        for line in pip.stdout:
            said.append(line)
            progress.look_at(line.strip())
        progress.finish()
    if pip.returncode != 0:
        raise CannotSetUpError(
            f"installing failed; pip's last words:\n{''.join(said[-15:])}\n"
            "If the package index cannot be reached, check the network, or set PIP_INDEX_URL to one that can."
        )


class Progress:
    """Counts what pip fetches: in place on a terminal, every tenth package elsewhere."""

    def __init__(self) -> None:
        self._count = 0
        self._in_place = sys.stdout.isatty()

    def look_at(self, line: str) -> None:
        if line.startswith("Collecting "):
            self._count += 1
            self._show(f"package {self._count}: {line.split()[1]}", every=10)
        elif line.startswith("Installing collected packages"):
            self._show(f"unpacking {line.count(',') + 1} packages", every=1)

    def finish(self) -> None:
        if self._in_place:
            sys.stdout.write("\r\033[K")

    def _show(self, text: str, *, every: int) -> None:
        if self._in_place:
            sys.stdout.write(f"\r\033[K  {text[:70]}")
            sys.stdout.flush()
        elif self._count % every == 0:
            say(text)


def say(text: str) -> None:
    print(f"  {text}", flush=True)


if __name__ == "__main__":
    main()
