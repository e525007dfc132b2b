"""The bytes before the pixels of an output file, whatever any reader makes of them."""

from pathlib import Path

from anonymizer.gate.needles import Needles
from anonymizer.gate.sought import is_harmless
from anonymizer.gate.spellings import stands_alone
from appliance.errors import IdentityDoubt


def check_header_bytes(path: Path, pixels: int, needles: Needles, harmless: frozenset[str]) -> None:
    """Search everything before Pixel Data for whole values, in every encoding.

    Parameters
    ----------
    path
        A de-identified file.
    pixels
        Where its Pixel Data element starts.
    needles
        What must not be found.
    harmless
        Words that tables brought in; a value of nothing else is not sought.

    Raises
    ------
    IdentityDoubt
        A value was found.
    """
    with path.open("rb") as file:
        header = file.read(pixels)
    for pattern, start in needles.search().in_header(header):
        end = start + len(pattern)
        alone = stands_alone(header[max(0, start - 1) : start], pattern, header[end : end + 1])
        if alone and not is_harmless(needles.texts[pattern], harmless):
            raise IdentityDoubt(needles.patterns[pattern].sentence("the header"))
