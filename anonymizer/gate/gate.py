"""The gate: reads what was written with another reader, and looks for what should be gone.

Every attribute of the output is judged by the rule of its role: a UID is registered or ours, a
date is one of the input moved by the patient's weeks, a code and its meaning are those of the
table, a text has the form that its rule gives it and no word of the input. Then the bytes of the
file are searched for whole values in every encoding, and each frame's header must hold only what
a decoder needs. One hit sets the slide aside; the value is never told.
"""

import re
from pathlib import Path

from anonymizer.gate.findings import Check, Judged, leftover
from anonymizer.gate.frames_of_file import check_pixels
from anonymizer.gate.judge import Judge
from anonymizer.gate.looking import find_whole
from anonymizer.gate.marks import check_frame, check_marks
from anonymizer.gate.sought import Needles, is_harmless
from anonymizer.gate.spellings import stands_alone
from anonymizer.gate.tree import Output, read_output
from anonymizer.profile.decide import Profile, vocabulary
from anonymizer.profile.iod import iod_of
from anonymizer.quiet import FOREIGN, quiet_pydicom
from appliance.errors import IdentityDoubt, InvalidInstance

_SOP_CLASS_UID = 0x00080016
_OUR_NAME = re.compile(r"[a-z]{2,6}-\d\d+")
"""How outputs are called; an original may be called so too."""


def check(path: Path, needles: Needles, profile: Profile) -> Judged:
    """Check one de-identified file, and say what was judged.

    Raises
    ------
    IdentityDoubt
        Something of the input is still there, or something is there that has no business to be;
        the sentence names the place, the check and the rule, never the value.
    """
    judged = Judged()
    try:
        with quiet_pydicom():
            output = read_output(path)
            _check_header(output, needles, profile, judged)
    except (*FOREIGN, InvalidInstance) as error:
        raise IdentityDoubt("The de-identified object cannot be read back.") from error
    origin = find_whole(path.stem, needles)
    if origin is not None and not _OUR_NAME.fullmatch(path.stem):
        raise leftover(Check.BYTES, "the file name", origin)
    _check_header_bytes(output, needles, judged)
    check_pixels(path, output.pixels, needles)
    judged.counts[Check.BYTES] += 1
    return judged


def _check_header(output: Output, needles: Needles, profile: Profile, judged: Judged) -> None:
    check_frame(output, judged)
    check_marks(output.pieces, profile, judged)
    sop_class = next((value for tag, _, value in output.pieces if tag == _SOP_CLASS_UID), b"")
    shape = iod_of(sop_class.decode("ascii", "replace").strip(" \0"))
    Judge(needles, profile, judged).object(output.pieces, shape)


def _check_header_bytes(output: Output, needles: Needles, judged: Judged) -> None:
    """Search all before the pixels for whole values, whatever any reader makes of it."""
    harmless = judged.harmless | vocabulary("terms") | {"removed"}
    with output.path.open("rb") as file:
        header = file.read(output.pixels)
    for pattern, start in needles.search().in_header(header):
        end = start + len(pattern)
        alone = stands_alone(header[max(0, start - 1) : start], pattern, header[end : end + 1])
        if alone and not is_harmless(needles.texts[pattern], harmless):
            raise leftover(Check.BYTES, "the header", needles.patterns[pattern])
