"""A scanner that keeps what was not answered with success, and sends it again."""

from collections.abc import Iterable

from tests.dicom_node.faults.clinic import Clinic
from tests.dicom_node.faults.ledger import Sent
from tests.dicom_node.faults.speaker import ASSOCIATE_AC, Speaker

SUCCESS = 0x0000


def push(clinic: Clinic, objects: Iterable[Sent]) -> list[Sent]:
    """Send objects over one association until all are sent or it breaks; give those left over."""
    left = list(objects)
    try:
        with Speaker(clinic.port) as speaker:
            if speaker.associate().kind != ASSOCIATE_AC:
                return left
            for one in list(left):
                clinic.ledger.sends(one)
                if speaker.store(one.uid, one.data_set) != SUCCESS:
                    return left
                clinic.ledger.hears_success(one)
                left.remove(one)
            speaker.release()
    except OSError:
        pass
    return left
