"""What the node tells of itself: who sends, what comes in, and who waits for a commitment."""

from collections.abc import Iterable
from dataclasses import replace

from appliance.facts import Facts, OpenAssociation, ScannerContact, StoreVersion
from appliance.settings import Scanner
from appliance.stores.intake import Intake, Received
from dicom_node.receive.spool import Spool


def node_facts(scanners: Iterable[Scanner], intake: Intake, spool: Spool) -> Facts:
    """Give what the node knows of its scanners; they are named as in the settings."""
    known = {one.ae_title.strip(): one.name for one in scanners}
    received = intake.received()
    open_ones = tuple(
        _so_far(replace(one, scanner=known.get(one.scanner, one.scanner)), received.get(one.name))
        for one in spool.associations()
    )
    return Facts(
        scanners=tuple(
            _contact(name, [one for one in received.values() if one.ae_title == title])
            for title, name in known.items()
        ),
        associations=open_ones,
        commitments=intake.commitments(),
        stores=(StoreVersion(store="receipts", schema=intake.schema()),),
    )


def _so_far(coming: OpenAssociation, brought: Received | None) -> OpenAssociation:
    """Add what is receipted to what is on its way."""
    return replace(coming, n_bytes=coming.n_bytes + (brought.n_bytes if brought else 0))


def _contact(name: str, received: list[Received]) -> ScannerContact:
    return ScannerContact(
        scanner=name,
        last_at=max((one.last_at for one in received), default=None),
        n_objects=sum(one.n_objects for one in received),
        n_bytes=sum(one.n_bytes for one in received),
    )
