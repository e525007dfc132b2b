"""The command `coverslip privacy attack`: try to put released tiles together again."""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anonymizer.attack.tile_set import TileSet, Truth

GIVES_AWAY = 1


def register(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    """Add `coverslip privacy attack`."""
    attack = subparsers.add_parser(
        "attack", help="try to put released tiles together again, and say how far it goes"
    )
    attack.add_argument(
        "released",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="what left, exactly as it left: folders of shards, DICOM tiles or pictures; several"
        " are attacked as one, as recipients would who put their tiles together",
    )
    attack.add_argument(
        "--truth",
        type=Path,
        metavar="FILE",
        help="where each tile comes from, as privacy truth writes it; keep it from every recipient",
    )
    attack.add_argument(
        "--overview",
        type=Path,
        metavar="FILE",
        help="a small picture of the slide to place them by",
    )
    attack.add_argument(
        "--picture", type=Path, metavar="FILE", help="write the best reassembly here, as PNG"
    )
    attack.add_argument("--json", action="store_true", help="for scripts")
    attack.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Attack, tell, and give 0 only when the tiles give nothing away beyond the limits."""
    from anonymizer.attack.released import read_picture, read_released
    from anonymizer.attack.truth_file import read_truth

    tiles = read_released(arguments.released)
    if arguments.overview is not None:
        name, pixels = arguments.overview.name, read_picture(arguments.overview)
        tiles = replace(tiles, others={**tiles.others, name: pixels})
    if arguments.truth is None:
        return _guess(tiles, arguments)
    return _attack(tiles, read_truth(arguments.truth), arguments)


def _attack(tiles: "TileSet", truth: "Truth", arguments: argparse.Namespace) -> int:
    from anonymizer.attack.attack import collusions, launch
    from anonymizer.attack.picture import picture
    from anonymizer.privacy.attack_words import conclusion, failings, report_lines
    from appliance.errors import ConfigError

    unknown = [tile_id for tile_id in tiles.ids if tile_id not in truth.tiles]
    if unknown:
        raise ConfigError(f"The truth does not know {len(unknown)} of the {len(tiles)} tiles.")
    outcome = launch(tiles, truth)
    together = collusions(tiles, truth) if outcome.report.n_recipients > 1 else ()
    if arguments.json:
        told = asdict(outcome.report) | {"collusions": [asdict(one) for one in together]}
        print(json.dumps(told | {"conclusion": conclusion(outcome.report)}, indent=1))
    else:
        print("\n".join(report_lines(outcome.report, together)))
    if arguments.picture is not None and outcome.assembly is not None:
        title = "Best reassembly of the released tiles"
        drawn = picture(tiles.pixels, outcome.assembly, outcome.is_right, title=title)
        arguments.picture.write_bytes(drawn)
    return GIVES_AWAY if any(failings(outcome.report)) else 0


def _guess(tiles: "TileSet", arguments: argparse.Namespace) -> int:
    from anonymizer.attack.blind import guess
    from anonymizer.attack.picture import picture
    from anonymizer.privacy.attack_words import guess_lines

    found = guess(tiles)
    if arguments.json:
        told = {
            "n_tiles": len(tiles),
            "score": found.score,
            "n_confirmed": found.n_confirmed,
            "n_by_chance": found.n_by_chance,
            "n_largest": found.n_largest,
        }
        print(json.dumps(told, indent=1))
    else:
        print("\n".join(guess_lines(found, tiles)))
    if arguments.picture is not None:
        title = "What the attacker put together"
        arguments.picture.write_bytes(picture(tiles.pixels, found.assembly, None, title=title))
    return 0
