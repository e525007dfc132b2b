"""Delivery to a DICOM peer by C-STORE."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from appliance.errors import DeliveryRefused, InvalidInstance
from appliance.manifest import VerifiedParcel
from dicom_node.sender import Endpoint, outgoing, send


@dataclass(frozen=True, slots=True, kw_only=True)
class DimseRoute:
    """Sends the files of a parcel over one association, as they are.

    A peer that has an object already answers with success or says that it knows it; sending again
    is harmless, since the same parcel always holds the same bytes.
    """

    endpoint: Endpoint

    def deliver(self, parcel: VerifiedParcel) -> str:
        """Send a parcel; give one sentence on what was done.

        Raises
        ------
        PeerUnavailable
            It may work later.
        DeliveryRefused
            The peer does not take it.
        """
        with TemporaryDirectory(prefix="coverslip-deliver-") as private:
            paths = [_copy(parcel, name, Path(private)) for name in sorted(parcel.files)]
            try:
                files = [outgoing(path) for path in paths]
            except InvalidInstance as error:
                raise DeliveryRefused("The parcel holds a file that is not DICOM.") from error
            send(files, self.endpoint)
        return f"Stored at {self.endpoint.called_ae_title}: objects {len(paths)}."


def _copy(parcel: VerifiedParcel, name: str, folder: Path) -> Path:
    """Write the very bytes that were verified to a private file."""
    source = parcel.files[name]
    source.seek(0)
    target = folder / name
    with target.open("wb") as file:
        shutil.copyfileobj(source, file)
    return target
