"""The node dies at random moments under load; nothing that it answered for is lost."""

import sys
from collections.abc import Callable

import pytest

from tests.dicom_node.faults import chaos
from tests.dicom_node.faults.clinic import Clinic

pytestmark = pytest.mark.slow

KILLS = 25
"""`make chaos-receive` does hundreds."""


def test_a_node_killed_at_random_moments_under_load_loses_nothing(
    make_clinic: Callable[..., Clinic],
) -> None:
    clinic = make_clinic(expects=("VOLUME", "LABEL"), quiet_s=60.0)
    clinic.start()
    tally = chaos.run(clinic, kills=KILLS, seed=3)
    sys.stdout.write(f"{tally}\n")
    assert tally.promised == tally.objects
    assert tally.transfers_cut > KILLS / 2, "the node was hardly ever killed at work"


def test_one_of_two_listeners_killed_under_load_loses_nothing_and_is_started_again(
    make_clinic: Callable[..., Clinic],
) -> None:
    clinic = make_clinic(expects=("VOLUME", "LABEL"), quiet_s=60.0, node="listeners = 2")
    clinic.start()
    tally = chaos.run(clinic, kills=5, seed=4, kill=chaos.kill_any)
    sys.stdout.write(f"{tally}\n")
    assert tally.promised == tally.objects
