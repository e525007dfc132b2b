"""Delivery into an object store: each file once, under its own name, nothing ever overwritten."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from appliance.errors import DeliveryRefused
from appliance.manifest import VerifiedParcel
from appliance.settings.peers import ObjectStore
from dicom_node.routes.bucket import Bucket, open_bucket
from dicom_node.routes.delivery import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStoreRoute:
    """Creates the files of a parcel as objects, from the private copies that were verified.

    An object is created only where there is none, so that a second try does no harm: one that is
    there with the same content counts as delivered, one with other content is refused.

    Attributes
    ----------
    open_bucket
        Reads the keys anew for every parcel, so that new ones need no restart.
    """

    open_bucket: Callable[[], Bucket]

    def deliver(self, parcel: VerifiedParcel, *, again: bool) -> Delivery:  # noqa: ARG002  no matter
        """Put a parcel.

        Raises
        ------
        ConfigError
            The keys of the store cannot be read.
        PeerUnavailable
            It may work later.
        DeliveryRefused
            The store does not take it, or something else is there under the name of a file.
        """
        bucket = self.open_bucket()
        for name in sorted(parcel.files):
            _put(bucket, name, parcel.files[name])
        return Delivery(words=f"Stored in the object store: objects {len(parcel.files)}.")


def object_store_route(store: ObjectStore) -> ObjectStoreRoute:
    """Give the route into a store.

    Raises
    ------
    ConfigError
        Its keys or certificates cannot be used.
    """
    if not store.url.startswith("file:"):  # a folder may be away for now
        open_bucket(store)
    return ObjectStoreRoute(open_bucket=lambda: open_bucket(store))


def _put(bucket: Bucket, name: str, content: IO[bytes]) -> None:
    if not bucket.create(name, content) and not bucket.holds(name, content):
        raise DeliveryRefused("A different object is there under the name of a product.")
