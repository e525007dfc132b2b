"""Reading the ends of the daemons' log files as they grow. No widget here."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FIRST_READ_BYTES = 256 * 1024
"""How much of the end of each file is shown at first."""
MOST_READ_BYTES = 1 << 20
"""At most this much of a file at once, so that a flood cannot freeze the screen."""


@dataclass(slots=True)
class LogTail:
    """The log files of a folder, each with how far it has been read."""

    folder: Path
    _offsets: dict[Path, int] = field(default_factory=dict)

    def new_lines(self) -> list[str]:
        """Give the lines that came since the last time, in the order of their times.

        A line that is still being written waits for its end; a file that was cut short or
        replaced by a shorter one is read from its start.
        """
        lines = [line for path in self._files() for line in self._read(path)]
        # Every line begins with its time; sorting merges the files and is stable inside one.
        lines.sort(key=lambda line: line[:23])
        return lines

    def _files(self) -> Iterator[Path]:
        yield from sorted(self.folder.glob("*.log"))

    def _read(self, path: Path) -> list[str]:
        try:
            size = path.stat().st_size
            offset = self._offsets.get(path, max(0, size - FIRST_READ_BYTES))
            cut = path not in self._offsets and offset > 0
            if size < offset:
                offset, cut = 0, False
            with path.open("rb") as file:
                file.seek(offset)
                block = file.read(MOST_READ_BYTES)
        except OSError:
            return []
        whole = block[: block.rfind(b"\n") + 1]
        self._offsets[path] = offset + len(whole)
        lines = whole.decode("utf-8", "replace").splitlines()
        return lines[1:] if cut else lines


def chosen(lines: list[str], sought: str) -> list[str]:
    """Keep the lines that contain every word that is sought, in any case of letters."""
    parts = sought.casefold().split()
    if not parts:
        return lines
    return [line for line in lines if all(part in line.casefold() for part in parts)]
