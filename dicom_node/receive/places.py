"""Where the settings put the spool and the receipts."""

from typing import Final

from appliance.settings import Settings
from appliance.storage import Root, free_bytes
from dicom_node.receive.spool import FreeBytes, Spool

_GIB: Final = 1 << 30


def open_spool(settings: Settings, *, free: FreeBytes = free_bytes) -> Spool:
    """Open the spool that the settings name."""
    return Spool(
        Root(settings.storage.root).zone("spool"),
        soft_free_bytes=settings.storage.soft_free_gib * _GIB,
        hard_free_bytes=settings.storage.hard_free_gib * _GIB,
        free_bytes=free,
    )


def receipts_url(root: Root) -> str:
    """SQLAlchemy URL of the receipts store."""
    return f"sqlite:///{root.zone('receipts') / 'receipts.db'}"
