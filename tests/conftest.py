"""Fixtures every test may use: real data and real tools, or a skip that CI turns into a failure."""

import os
import shutil
import socketserver
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# Small matrix products on many threads spin: twice the time, of all cores. Said before numpy is
# imported, and handed on to every process that a test starts.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Every peer and every control socket that a test ends looks this often whether it is to end; half
# a second otherwise, some hundred times.
socketserver.BaseServer.serve_forever.__defaults__ = (0.1,)

settings.register_profile("coverslip", deadline=None)  # a busy machine is no fault of ours
settings.load_profile("coverslip")

REQUIRE_ALL = os.environ.get("COVERSLIP_REQUIRE_ALL") == "1"
"""Set in CI: a missing tool or data set is then a failure, never a skip."""


def _missing(what: str) -> None:
    if REQUIRE_ALL:
        pytest.fail(f"{what} is missing, and COVERSLIP_REQUIRE_ALL=1 allows no skip")
    pytest.skip(f"{what} is not on this machine")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real slides and tables, never part of the repository."""
    folder = Path(os.environ.get("COVERSLIP_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        _missing("the real test data (COVERSLIP_DATA)")
    return folder


@pytest.fixture(scope="session")
def require_tool() -> Callable[[str], str]:
    """Give the path of a program such as dciodvfy, or skip (CI: fail)."""

    def find(name: str) -> str:
        path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if path is None:
            _missing(f"the program {name}")
        assert path is not None
        return path

    return find


@pytest.fixture(scope="session")
def triton_python() -> str:
    """Give the interpreter of the environment that holds a real Triton server, or skip."""
    environment = Path(__file__).parents[1] / ".venv-triton"
    if not (environment / "ready").is_file():
        _missing("a real Triton server (make triton)")
    return str(environment / "bin" / "python")
