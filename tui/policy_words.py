"""The words of a route's policy: pure tables, total over what the settings allow."""

from collections.abc import Mapping
from types import MappingProxyType

PLACES: Mapping[str, str] = MappingProxyType(
    {"inside": "inside", "site": "the hospital's own servers", "outside": "outside"}
)
"""Where a recipient is, by the route's place in the settings."""

MECHANISMS: Mapping[str, str] = MappingProxyType(
    {
        "true_patient": "true patient",
        "every_tile": "every tile, no identity",
        "coloured_tiles": "shuffled tiles, no identity",
        "bare_report": "bare report, no identity",
    }
)
"""By which mechanism a policy works, by its name in the settings."""

TERMS: Mapping[str, str] = MappingProxyType(
    {
        "um_px": "µm/px",
        "tile_px": "px a tile",
        "cell_px": "px a cell",
        "crop_px": "px a tile",
        "colours": "colours",
        "jpeg_quality": "JPEG quality",
        "min_patients": "patients in a batch, or more",
        "max_tiles_per_patient": "tiles a patient, ever",
        "max_share_of_batch": "of a batch from one patient at most",
        "tiles_per_shard": "tiles a parcel",
        "min_tiles_per_slide": "tiles a slide, or more",
    }
)
"""Parameters of a policy, by their names in the settings; they follow the number."""

LIMITS: Mapping[str, str] = MappingProxyType(
    {
        "parcels_per_day": "parcels a day",
        "tiles_per_day": "tiles a day",
        "mb_per_day": "MB a day",
        "mb_s": "MB/s",
    }
)
"""What may leave at most, by its name in the settings; they follow the number."""
