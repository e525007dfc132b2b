"""In what form the tiles of a parcel leave: the kind of the route says it."""

from collections.abc import Mapping

from anonymizer.pseudonyms import Pseudonyms
from anonymizer.release.parcels import Product
from anonymizer.release.restore import to_file
from anonymizer.tiles.check import check_tile
from anonymizer.tiles.dicom import tile_image
from anonymizer.tiles.dicom_check import check_tile_file
from anonymizer.tiles.shards import Tile, shard
from appliance.settings import Route


def products_of(
    route: Route, parcel_id: str, tiles: Mapping[str, Tile], *, recipient: Pseudonyms
) -> tuple[Product, ...]:
    """Pack the tiles of a parcel.

    Parameters
    ----------
    route
        Of kind folder, object_store or model_servers: one WebDataset shard. Of kind dimse or stow:
        a DICOM file a tile, in the order of their ids, which is a random order.
    parcel_id
        Names the shard.
    tiles
        By tile id.
    recipient
        Pseudonyms of the recipient (`Pseudonyms.for_recipient`).

    Raises
    ------
    DeliveryRefused
        A tile or its DICOM file holds more than a tile may tell.
    """
    for tile_id, tile in tiles.items():
        check_tile(tile_id, tile)
    if route.kind in ("dimse", "stow"):
        return tuple(_file(tile_id, tile, recipient) for tile_id, tile in sorted(tiles.items()))
    packed = shard(tiles)
    return (Product(name=f"{parcel_id}.tar", kind="tiles", content=packed, n_tiles=len(tiles)),)


def _file(tile_id: str, tile: Tile, recipient: Pseudonyms) -> Product:
    """Make the DICOM file of a tile, and check the bytes that will be signed."""
    content = to_file(tile_image(tile_id, tile, recipient))
    check_tile_file(content, tile_id=tile_id, tile=tile, recipient=recipient)
    return Product(name=f"{tile_id}.dcm", kind="tiles", content=content, n_tiles=1)
