"""What a peer that misbehaves must not change: other scanners, the spool, the node's process."""

from itertools import count

from tests.dicom_node.faults.checks import Checks
from tests.dicom_node.faults.clinic import Clinic, wait_until
from tests.dicom_node.faults.ledger import Sent
from tests.dicom_node.faults.scanner import push
from tests.dicom_node.faults.slides import volume

_numbers = count(1)


def new_object(*, frame_bytes: int = 100) -> Sent:
    """Give an object that nobody has sent yet, of a slide of its own."""
    number = next(_numbers)
    return volume(number, slide=number, frame_bytes=frame_bytes)


def all_is_well(clinic: Clinic) -> None:
    """Check that nothing is left of what was refused, and that the next scanner is served."""
    assert push(clinic, [new_object()]) == []
    wait_until(lambda: partial_files(clinic) == [])
    kept = {path.stem for path in clinic.instances.iterdir()}
    assert kept == set(clinic.ledger.promises().values()), "something is kept that was not promised"
    checks = Checks(clinic)
    checks.nothing_partial()
    assert clinic.is_alive()


def partial_files(clinic: Clinic) -> list[str]:
    """Names of what is being received."""
    return [path.name for path in clinic.incoming.rglob("*.part")]
