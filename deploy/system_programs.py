"""The programs the tests need beside Python packages: a broker, a database, a browser, and PHP for the CRM package."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Program:
    """What tests are done with, and the Debian packages that bring it."""

    find: Callable[[], str | None]
    packages: tuple[str, ...]


def chromium() -> str | None:
    """The browser's program."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def postgres_folder() -> str | None:
    """Where initdb and pg_ctl of the newest PostgreSQL are."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    return str(folders[-1]) if folders else None


def rabbitmq_server() -> str | None:
    """The server's own script; the one in the path insists on the system's user and folders."""
    script = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    return str(script) if script.exists() else None


def php() -> str | None:
    """PHP, if it can call over HTTP as SuiteCRM's does."""
    program = shutil.which("php")
    if program is None:
        return None
    modules = subprocess.run([program, "-m"], check=False, capture_output=True, text=True).stdout
    return program if "curl" in modules.split() else None


PROGRAMS: Mapping[str, Program] = {
    "RabbitMQ": Program(find=rabbitmq_server, packages=("rabbitmq-server",)),
    "PostgreSQL": Program(find=postgres_folder, packages=("postgresql",)),
    "PHP": Program(find=php, packages=("php-cli", "php-curl")),
    "Chromium": Program(find=chromium, packages=("chromium", "fonts-liberation", "fonts-noto-cjk")),
}


def left_out() -> list[str]:
    """Names of the programs that are not here."""
    return [name for name, program in PROGRAMS.items() if program.find() is None]


def install_missing(console: Console) -> None:
    """Install with apt-get what is missing, if this user may; says what it does and what failed."""
    missing = left_out()
    if not missing:
        return
    apt = _apt()
    if apt is None:
        console.print(f"[yellow]No {', no '.join(missing)} here, and no right to install with apt-get.[/]")
        return
    packages = [package for name in missing for package in PROGRAMS[name].packages]
    console.print(f"apt-get install {' '.join(packages)}")
    for command in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", *packages]):
        result = subprocess.run([*apt, *command], check=False, capture_output=True, text=True)
        if result.returncode != 0:
            console.print(f"[yellow]apt-get {command[0]} failed:[/] {result.stderr.strip()[-500:]}", markup=True)
            return


def _apt() -> list[str] | None:
    """How this user runs apt-get, or None."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], check=False, capture_output=True).returncode == 0
    ):
        return ["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    return None
