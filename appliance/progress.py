"""How far a batch of slides is, told to the person at the terminal."""

import sys
from typing import Final

_BAR: Final = 30


class SlidesProgress:
    """One bar for all slides on a terminal; a line for every slide that is done elsewhere."""

    def __init__(self) -> None:
        self._drawn = False
        self._done = 0

    def __call__(self, done: int, slides: int, share: float) -> None:
        """Tell how many slides of how many are done, and which share of all the work, 0 to 1."""
        if sys.stderr.isatty():
            bar = "#" * round(_BAR * share)
            sys.stderr.write(f"\r[{bar:{_BAR}}] {share:4.0%}  {done} of {slides} slides")
            sys.stderr.flush()
            self._drawn = True
        elif done > self._done:
            sys.stderr.write(f"{done} of {slides} slides\n")
            sys.stderr.flush()
        self._done = done

    def end(self) -> None:
        """Leave the line of the bar."""
        if self._drawn:
            sys.stderr.write("\n")
