"""Reading the ends of the daemons' log files as they grow. No widget here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

FIRST_READ_BYTES = 256 * 1024
"""How much of the end of each file is shown at first."""
MOST_READ_BYTES = 1 << 20
"""At most this much of a file at once, so that a flood cannot freeze the screen."""
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far a file has been read."""

    file: int
    """Inode: another one under the same name is another file."""
    offset: int
    time: str = ""
    """Of the line before, which a line without one belongs to."""
    is_inside: bool = False
    """Whether the rest of a line that was too long to be read is still to come."""


@dataclass(slots=True)
class LogTail:
    """The log files of a folder, each with how far it has been read."""

    folder: Path
    _marks: dict[Path, Mark] = field(default_factory=dict)

    def new_lines(self) -> list[str]:
        """Give the lines that came since the last time, in the order of their times.

        A line that is still being written waits for its end; a file that was cut short or
        replaced is read from its start. What has no time, such as the rest of a crash, stays with
        the line before it.
        """
        timed: list[tuple[str, str]] = []
        for path in self._files():
            time = self._marks[path].time if path in self._marks else ""
            for line in self._read(path):
                found = TIME.match(line)
                time = found[0] if found else time
                timed.append((time, line))
            if path in self._marks:
                self._marks[path] = replace(self._marks[path], time=time)
        timed.sort(key=lambda pair: pair[0])  # stable: it only merges the files
        return [line for _, line in timed]

    def _files(self) -> Iterator[Path]:
        yield from sorted(self.folder.glob("*.log"))

    def _read(self, path: Path) -> list[str]:
        try:
            status = path.stat()
            mark = self._marks.get(path)
            size, file = status.st_size, status.st_ino
            offset = mark.offset if mark else max(0, size - FIRST_READ_BYTES)
            cut = mark is None and offset > 0
            if mark is not None and (size < offset or mark.file != file):
                offset = 0
            with path.open("rb") as opened:
                opened.seek(offset)
                block = opened.read(MOST_READ_BYTES)
        except OSError:
            return []
        whole = block[: block.rfind(b"\n") + 1]
        is_inside = not whole and len(block) == MOST_READ_BYTES
        read = block if is_inside else whole  # no line of ours is so long: it is stepped over
        was_inside = mark is not None and mark.is_inside
        goes_on = (cut or was_inside) and not whole
        self._marks[path] = Mark(
            file=file,
            offset=offset + len(read),
            time=mark.time if mark else "",
            is_inside=is_inside or goes_on,
        )
        lines = whole.decode("utf-8", "replace").split("\n")[:-1]
        return lines[1:] if cut or was_inside else lines
