"""A real file system that is small, and can be filled to the last byte and emptied again."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import REQUIRE_ALL

MIB = 1 << 20


class SmallDisk:
    """A mounted file system.

    Parameters
    ----------
    folder
        Where it is seen.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def free_bytes(self) -> int:
        """Tell how much is free."""
        told = os.statvfs(self.folder)
        return told.f_bavail * told.f_frsize

    def fill(self, *, leave_bytes: int) -> None:
        """Write a file until only so much is free."""
        block = bytes(4096)
        with self._filler.open("ab", buffering=0) as file:
            while self.free_bytes() > leave_bytes:
                try:
                    file.write(block)
                except OSError:
                    return

    def empty(self) -> None:
        """Remove what `fill` wrote."""
        self._filler.unlink()


@contextmanager
def small_disk(size_mib: int) -> Iterator[SmallDisk]:
    """Mount a small disk: directly as root, else in a user namespace seen through /proc."""
    with tempfile.TemporaryDirectory(prefix="small-") as folder:
        where, options = Path(folder), f"size={size_mib}m,nr_inodes=10000"
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
        if subprocess.run(mount, capture_output=True, check=False).returncode == 0:
            try:
                yield SmallDisk(where)
            finally:
                subprocess.run(["umount", "--lazy", folder], check=True)
            return
        holder = subprocess.Popen(
            ["unshare", "-rm", "sh", "-c", f"{' '.join(mount)} && echo mounted && exec sleep 900"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert holder.stdout is not None
            if holder.stdout.readline() != "mounted\n":
                _cannot()
            yield SmallDisk(Path(f"/proc/{holder.pid}/root{folder}"))
        finally:
            holder.kill()
            holder.wait()


def _cannot() -> None:
    words = "neither root nor a user namespace may mount a tmpfs here"
    if REQUIRE_ALL:
        pytest.fail(words)
    pytest.skip(words)
