"""Fixtures of the fault tests: a forge of nodes, and clinics in which they are killed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dicom_node.faults.clinic import Clinic
from tests.dicom_node.faults.forge import Forge


@pytest.fixture(scope="session")
def forge() -> Iterator[Forge]:
    """One process that forks all nodes of this test run."""
    one = Forge()
    yield one
    one.close()


@pytest.fixture
def make_clinic(tmp_path: Path, forge: Forge) -> Iterator[Callable[..., Clinic]]:
    """Make clinics whose nodes end with the test."""
    made: list[Clinic] = []

    def make(**words: Any) -> Clinic:
        folder = tmp_path / f"clinic-{len(made)}"
        folder.mkdir()
        made.append(Clinic(folder, forge, **words))
        return made[-1]

    yield make
    for one in made:
        if one.pid and one.is_alive():
            one.kill()


@pytest.fixture(scope="module")
def shared_clinic(tmp_path_factory: pytest.TempPathFactory, forge: Forge) -> Iterator[Clinic]:
    """A clinic with a node that listens; every test of a module meets the same one."""
    one = Clinic(tmp_path_factory.mktemp("clinic"), forge, expects=("VOLUME", "LABEL"), quiet_s=60)
    one.start()
    yield one
    assert one.is_alive(), "a test has ended the node"
    one.kill()
