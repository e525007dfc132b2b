"""The truth of a tile set as a file: JSON, for the hospital alone."""

import json
from dataclasses import asdict
from pathlib import Path

from anonymizer.attack.tile_set import TrueTile, Truth
from appliance.errors import ConfigError


def write_truth(path: Path, truth: Truth) -> None:
    """Write `{"cell_px": 256, "tiles": {"<id>": {"slide": …, "row_px": …, …}}}`."""
    tiles = {tile_id: asdict(tile) for tile_id, tile in truth.tiles.items()}
    path.write_text(json.dumps({"cell_px": truth.cell_px, "tiles": tiles}, indent=0))


def read_truth(path: Path) -> Truth:
    """Read what `write_truth` wrote.

    Raises
    ------
    ConfigError
        The file is missing or says something else.
    """
    try:
        found = json.loads(path.read_bytes())
        tiles = {str(tile_id): TrueTile(**told) for tile_id, told in found["tiles"].items()}
        return Truth(cell_px=int(found["cell_px"]), tiles=tiles)
    except OSError as error:
        raise ConfigError(f"The truth {path} cannot be read.") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{path} is not a truth: cell_px, and tiles by id, are needed."
        ) from error
