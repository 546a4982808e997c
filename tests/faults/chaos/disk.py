"""A small disk that can be full: a tmpfs, where this user may mount one."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SIZE = 1536 * 1024 * 1024
_BLOCK = 4096


class SmallDisk:
    """A folder on a disk of its own, or on none if that was refused."""

    def __init__(self, folder: Path, *, mounted: bool) -> None:
        self.folder = folder
        self.mounted = mounted
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave hardly a block free."""
        step, size = shutil.disk_usage(self.folder).free, 0
        with self._ballast.open("wb") as file:
            while step >= _BLOCK:
                try:
                    os.posix_fallocate(file.fileno(), size, step)
                    size += step
                except OSError:
                    step //= 2

    def empty(self) -> None:
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk() -> Iterator[SmallDisk]:
    """Gone with all that is on it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="casebridge-disk-"))
    folder.chmod(0o755)
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=0755", "casebridge", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0
    (folder / "server").mkdir()
    try:
        yield SmallDisk(folder, mounted=mounted)
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)
