"""Keeping what scanners send. A success status is a promise.

0x0000 is answered after, in this order: the object is whole and is the one that was announced, its
file is durable, it has its name, the folder is durable, and its receipt is committed. Anything else
is a failure status, and nothing of the object stays visible.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

from appliance.errors import ApplianceError, StorageFull, TransientError
from appliance.storage import storage_errors
from appliance.stores.receipts import Receipt, Receipts
from dicom_node.headers import Header, Instance, check_content, read_header
from dicom_node.receive.spool import Spool
from dicom_node.receive.transfer import Announced, Transfer
from dicom_node.status import SUCCESS, MismatchedInstance, store_status

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Keeps received objects: file, then receipt, then status."""

    spool: Spool
    receipts: Receipts
    refused: Callable[[str], None] = log.warning
    """Told in one sentence about an object that was not kept."""
    clock: Callable[[], float] = time.time

    def store(self, announced: Announced, transfer: Transfer) -> int:
        """Keep one object; give its DIMSE status (PS3.4 B.2.3)."""
        received_at = self.clock()
        try:
            with storage_errors():
                self._keep(announced, transfer, received_at)
        except ApplianceError as error:
            self.refused(f"An object from {transfer.scanner} was refused: {error}")
            return store_status(error)
        return SUCCESS

    def _keep(self, announced: Announced, transfer: Transfer, received_at: float) -> None:
        transfer.make_durable()
        if transfer.failure is not None:
            raise transfer.failure
        if not self.spool.has_room():
            raise StorageFull("Free disk space is below the limit.")
        sha256 = transfer.sha256
        if self._is_known(announced.sop_instance_uid, sha256):
            log.info("an object from %s came again; nothing to do", transfer.scanner)
            return
        instance = _checked(announced, transfer)
        receipt = _receipt(instance, transfer, sha256, received_at)
        try:
            self.spool.publish(transfer)
            if not self.receipts.add(receipt):
                self.receipts.restore(receipt, partial(self._put_again, transfer))
        except (ApplianceError, OSError):
            self.spool.withdraw(transfer)
            raise

    def _put_again(self, transfer: Transfer) -> None:
        """Give content its name again that was purged after it got it; nobody purges meanwhile."""
        try:
            if not self.spool.path(transfer.sha256).exists():
                self.spool.publish(transfer)
        except FileNotFoundError as error:
            raise TransientError("The object was purged while it came again.") from error

    def _is_known(self, sop_instance_uid: str, sha256: str) -> bool:
        return self.spool.path(sha256).exists() and self.receipts.known(sop_instance_uid, sha256)


def facts_of(receipt: Receipt) -> Instance:
    """Give back what was read of an object's header when it came."""
    return Instance(**json.loads(receipt.facts))


def _checked(announced: Announced, transfer: Transfer) -> Instance:
    header: Header = read_header(transfer.path)
    one = header.instance
    if one.sop_class_uid != announced.sop_class_uid:
        raise MismatchedInstance("The object's SOP Class is not the one that was announced.")
    if one.sop_instance_uid != announced.sop_instance_uid:
        raise MismatchedInstance("The object's UID is not the one that was announced.")
    check_content(transfer.path, header)
    return one


def _receipt(instance: Instance, transfer: Transfer, sha256: str, received_at: float) -> Receipt:
    return Receipt(
        sop_instance_uid=instance.sop_instance_uid,
        sop_class_uid=instance.sop_class_uid,
        transfer_syntax_uid=instance.transfer_syntax_uid,
        study_instance_uid=instance.study_instance_uid,
        series_instance_uid=instance.series_instance_uid,
        facts=json.dumps(asdict(instance)),
        sha256=sha256,
        size_bytes=transfer.size_bytes,
        calling_ae_title=transfer.scanner,
        association=transfer.association,
        received_at=received_at,
    )
