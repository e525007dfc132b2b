"""The door to tesseract, a program of its own that gets a picture and gives words.

Pictures go in and words come out through pipes, so nothing is left on a disk.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import numpy as np

from anonymizer.sight.found import Box, Picture, Word
from appliance.errors import ConfigError, IdentityDoubt

TIME_LIMIT_S: Final = 60.0
_LARGEST_SIDE_PX: Final = 32_000
_ARGUMENTS: Final = (
    *("stdin", "stdout", "-l", "eng"),
    *("--psm", "11", "--dpi", "150"),  # sparse text, in no order
    *("-c", "tessedit_create_tsv=1"),
)
_COLUMNS: Final = 12
_WORD_LEVEL: Final = "5"
_MISSING: Final = (
    "The program tesseract cannot be used, and deidentify.text_in_pixels or deidentify.label asks"
    " for it: install tesseract-ocr, or set them to off and ignore."
)


class Tesseract:
    """Reads words in grey pictures.

    Parameters
    ----------
    program
        Path of tesseract.

    Raises
    ------
    ConfigError
        It does not run, or has no data for Latin letters.
    """

    def __init__(self, program: Path) -> None:
        self._program = program
        try:
            self.words(np.full((64, 64), 255, np.uint8))
        except IdentityDoubt as error:
            raise ConfigError(_MISSING) from error

    def words(self, grey: Picture) -> tuple[Word, ...]:
        """Find words that stand upright, alone or in lines, anywhere in a picture.

        Raises
        ------
        IdentityDoubt
            Tesseract fails or takes longer than a minute.
        """
        rows, columns = grey.shape
        if max(rows, columns) > _LARGEST_SIDE_PX:
            raise IdentityDoubt("A picture of the slide is too large to look for text in it.")
        head = f"P5 {columns} {rows} 255\n".encode()
        try:
            done = subprocess.run(  # noqa: S603  a fixed program and fixed arguments
                [self._program, *_ARGUMENTS],
                input=head + grey.tobytes(),
                capture_output=True,
                timeout=TIME_LIMIT_S,
                check=True,
                env=_environment(),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise IdentityDoubt("The slide could not be looked through for text.") from error
        return tuple(_words(done.stdout.decode("utf-8", "replace")))


def find_tesseract() -> Tesseract:
    """Find tesseract on this machine.

    Raises
    ------
    ConfigError
        It is not there or does not work.
    """
    program = shutil.which("tesseract")
    if program is None:
        raise ConfigError(_MISSING)
    return Tesseract(Path(program))


def _environment() -> dict[str, str]:
    passed = ("PATH", "TESSDATA_PREFIX", "LD_LIBRARY_PATH")
    # One thread: slides are worked side by side, and its threads cost more than they give.
    return {"OMP_THREAD_LIMIT": "1"} | {
        name: os.environ[name] for name in passed if name in os.environ
    }


def _words(table: str) -> list[Word]:
    """Read the table that tesseract writes, one line a word among other lines."""
    found = []
    for line in table.splitlines():
        fields = line.split("\t")
        if len(fields) == _COLUMNS and fields[0] == _WORD_LEVEL and fields[11].strip():
            left, top, width, height = map(int, fields[6:10])
            box = Box(top=top, left=left, bottom=top + height, right=left + width)
            found.append(Word(text=fields[11].strip(), confidence=float(fields[10]), box=box))
    return found
