"""A real file system that is small, and can be filled to the last byte and emptied again."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import REQUIRE_ALL
from tests.dicom_node.faults.forge import REPOSITORY

MIB: Final = 1 << 20
_INSIDE: Final = "COVERSLIP_TEST_NAMESPACE"
"""Environment variable: the test runs in a namespace of its own already."""


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
def small_disk(size_mib: int, test: str) -> Iterator[SmallDisk]:
    """Mount a small disk.

    Where that is not allowed the test runs in a namespace of its own instead, in which it is.

    Parameters
    ----------
    test
        Name by which pytest knows the test that asks.
    """
    with tempfile.TemporaryDirectory(prefix="small-") as folder:
        words = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,nr_inodes=10000", "tmpfs", folder]
        if subprocess.run(words, capture_output=True, check=False).returncode:
            _run_in_namespace(test)
        try:
            yield SmallDisk(Path(folder))
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def _run_in_namespace(test: str) -> None:
    """Run a test as the root of a user and mount namespace; fail as it does."""
    if (
        os.environ.get(_INSIDE)
        or subprocess.run(["unshare", "-rm", "true"], check=False).returncode
    ):
        words = "neither root nor a user namespace may mount a tmpfs here"
        if REQUIRE_ALL:
            pytest.fail(words)
        pytest.skip(words)
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        env={**os.environ, _INSIDE: "1"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    pytest.skip("it passed in a namespace of its own")
