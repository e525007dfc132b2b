"""From answers in words to the values they mean."""

from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from appliance.errors import ConfigError
from appliance.slides.classes import SlideClass
from inference.importing.questions import CODED
from inference.importing.wanted import Example, Wanted
from inference.model.document import TILES
from inference.reports.codes import KINDS
from inference.reports.codes import TISSUE as TISSUE_CODE

_COLOURS: Final = 3
_CODE_PARTS: Final = 3
_DEFAULT_THRESHOLD: Final = 0.5


def wanted_of(given: dict[str, Any]) -> Wanted:
    """Give how the model takes a picture.

    Raises
    ------
    ConfigError
        A number is none.
    """
    return Wanted(
        task=given["task"],
        n_classes=len(given["class"]),
        tile_px=given["tile_px"],
        channels=given["channels"],
        layout=given["layout"],
        mean=_colours("mean", given["mean"]),
        std=_colours("std", given["std"]),
        gives=given["gives"],
        output=given["output"],
    )


def manifest_of(given: dict[str, Any]) -> dict[str, Any]:
    """Give the content of `model.toml`, but for `tile_px`.

    Raises
    ------
    ConfigError
        A number or a code is none.
    """
    classes = [_class(index, text) for index, text in enumerate(given["class"])]
    says = {key: given[key] for key in ("name", "version", "task", "licence", "intended_use")}
    says |= {"trained_on": given["trained_on"], "um_px": _number("um_px", given["um_px"])}
    for key, flag in (("stains", "stain"), ("body_sites", "body_site")):
        if given[flag]:
            says[key] = [_concept(flag, text) for text in given[flag]]
    thresholds = dict(_threshold(text) for text in given["threshold"] or ())
    if given["task"] == TILES and not thresholds:
        thresholds = {classes[-1]["name"]: _DEFAULT_THRESHOLD}
    return says | {"thresholds": thresholds, "classes": classes}


def _class(index: int, text: str) -> dict[str, Any]:
    name, _, coded = text.partition("=")
    code = _concept("class", coded) if coded else _known_code(name)
    return {"index": index, "name": name, "code": code}


def _known_code(name: str) -> dict[str, str]:
    known = {SlideClass.TISSUE.key: TISSUE_CODE} | {kind.key: code for kind, code in KINDS.items()}
    if name == SlideClass.BACKGROUND.key:
        return {"value": "125040", "scheme": "DCM", "meaning": "Background"}
    if name not in known:
        raise ConfigError(f"--class {name} needs a code: {name}={CODED}.")
    code = known[name]
    return {"value": code.value, "scheme": code.scheme_designator, "meaning": code.meaning}


def _concept(flag: str, text: str) -> dict[str, str]:
    parts = text.split(":", 2)
    if len(parts) != _CODE_PARTS or not all(parts):
        raise ConfigError(f"--{flag.replace('_', '-')} needs a code as {CODED}.")
    return {"value": parts[1], "scheme": parts[0], "meaning": parts[2]}


def _threshold(text: str) -> tuple[str, float]:
    name, _, least = text.partition("=")
    return name, _number("threshold", least)


def _colours(flag: str, text: str) -> tuple[float, float, float]:
    numbers = [_number(flag, part) for part in text.split(",")]
    if len(numbers) != _COLOURS or (flag == "std" and min(numbers) <= 0):
        raise ConfigError(f"--{flag} needs three numbers, for red, green and blue: 0.5,0.5,0.5.")
    return numbers[0], numbers[1], numbers[2]


def _number(flag: str, text: str) -> float:
    try:
        return float(Fraction(text.strip()))
    except (ValueError, ZeroDivisionError) as error:
        raise ConfigError(f"--{flag.replace('_', '-')} needs a number.") from error


def example_of(given: dict[str, Any]) -> Example | None:
    """Give the picture and the class of `--example`."""
    if not given["example"]:
        return None
    image, expected = given["example"]
    return Example(image=Path(image), expected=expected)
