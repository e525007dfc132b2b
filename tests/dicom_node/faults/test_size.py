"""Objects larger than 32 bits can count are kept whole, and cost no more memory than small ones.

COVERSLIP_LONG=1 sends one in native encoding, too.
"""

import os
import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dicom_node.faults import giants
from tests.dicom_node.faults.checks import Checks
from tests.dicom_node.faults.clinic import Clinic
from tests.dicom_node.faults.giants import Giant
from tests.dicom_node.faults.headers import with_frame_groups
from tests.dicom_node.faults.ledger import Sent
from tests.dicom_node.faults.neighbours import new_object
from tests.dicom_node.faults.scanner import push
from tests.dicom_node.faults.speaker import JPEG_BASELINE, Context, Speaker
from tests.dicom_node.objects import Image

pytestmark = pytest.mark.slow

LONG = bool(os.environ.get("COVERSLIP_LONG"))
MIB = 1 << 20
GREATER_MEMORY_MIB = 20
"""By so much a giant may need more memory than an object of 10 MiB."""


def native_above_2_31(image: Image) -> Giant:
    return giants.native(image, frames=11, side_px=8192)


def encapsulated_above_4_gib(image: Image) -> Giant:
    return giants.encapsulated(image, frames=5, frame_bytes=900 * MIB)


@pytest.fixture
def clinic(make_clinic: Callable[..., Clinic]) -> Iterator[Clinic]:
    """A clinic that leaves no gigabytes behind."""
    one = make_clinic(expects=("VOLUME",))
    one.start()
    yield one
    one.kill()
    shutil.rmtree(one.root.path)


@pytest.mark.parametrize(
    ("make", "above_bytes"),
    [
        pytest.param(encapsulated_above_4_gib, 1 << 32, id="encapsulated above 4 GiB"),
        *([pytest.param(native_above_2_31, 1 << 31, id="native above 2^31")] if LONG else []),
    ],
)
def test_a_giant_is_kept_whole_and_walks_on_in_the_memory_of_a_small_object(
    clinic: Clinic, make: Callable[[Image], Giant], above_bytes: int
) -> None:
    small = giants.encapsulated(Image(), frames=2, frame_bytes=5 * MIB)
    giant = make(Image())
    assert giant.size_bytes > above_bytes
    checks = Checks(clinic)
    assert _store(clinic, small) == 0
    checks.await_line()
    peak_small_mib = _peak_mib(clinic)
    assert _store(clinic, giant) == 0
    checks.await_line()
    peak_giant_mib = _peak_mib(clinic)
    sys.stdout.write(
        f"peak RSS {peak_small_mib:.0f} MiB with 10 MiB, {peak_giant_mib:.0f} MiB with "
        f"{giant.size_bytes / MIB:.0f} MiB\n"
    )
    assert peak_giant_mib < peak_small_mib + GREATER_MEMORY_MIB
    checks.promises()
    checks.line()


def _store(clinic: Clinic, giant: Giant) -> int | None:
    clinic.ledger.sends(giant)
    with Speaker(clinic.port, timeout_s=120) as speaker:
        speaker.accepted(Context(syntaxes=(giant.transfer_syntax,)))
        status = giants.send(giant, speaker)
        assert speaker.release()
    clinic.ledger.hears_success(giant)
    return status


def _peak_mib(clinic: Clinic) -> float:
    """Peak resident memory of all processes of the node since they started."""
    return max(
        int(line.split()[1]) / 1024
        for pid in (clinic.pid, *clinic.listeners())
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmHWM:")
    )


@pytest.mark.parametrize("lengths", [True, False], ids=["with lengths", "with delimiters"])
def test_the_groups_of_very_many_frames_cost_the_receiver_no_memory(
    make_clinic: Callable[..., Clinic], *, lengths: bool
) -> None:
    clinic = make_clinic(quiet_s=3600.0)  # what assemble needs comes later
    clinic.start()
    made = new_object()
    large = with_frame_groups(made.data_set, frames=60_000, lengths=lengths)
    one = Sent(uid=made.uid, study=made.study, data_set=large)
    assert push(clinic, [new_object()]) == []
    peak_small_mib = _peak_mib(clinic)
    assert push(clinic, [one]) == []
    assert _peak_mib(clinic) < peak_small_mib + GREATER_MEMORY_MIB
    Checks(clinic).promises()


def test_a_large_private_element_costs_the_receiver_no_memory(
    make_clinic: Callable[..., Clinic],
) -> None:
    clinic = make_clinic(quiet_s=3600.0)
    clinic.start()
    assert push(clinic, [new_object()]) == []
    peak_small_mib = _peak_mib(clinic)
    made = new_object()
    at = made.data_set.index(struct.pack("<HH", 0x0020, 0x000D))
    private = struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 100 * MIB)
    giant = Giant(
        uid=made.uid,
        study=made.study,
        transfer_syntax=JPEG_BASELINE,
        parts=((made.data_set[:at] + private, 100 * MIB), (made.data_set[at:], 0)),
    )
    assert _store(clinic, giant) == 0
    assert _peak_mib(clinic) < peak_small_mib + GREATER_MEMORY_MIB
    Checks(clinic).promises()
