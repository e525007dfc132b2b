"""Logging: one line a fact, the slide's opaque id in front, never an identity.

Under systemd the journal adds the time; elsewhere, and in the file that the screen merges with
those of other daemons, we do. Libraries that put attribute values into
their messages (pydicom does) are held to errors of the library itself, which carry none.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_slide: ContextVar[str] = ContextVar("slide", default="-")

TALKATIVE = (
    "pydicom",
    "pynetdicom",
    "httpx",
    "httpcore",
    "PIL",
    "wsidicom",
    "highdicom",
    "alembic",
    "sqlalchemy",
)


@contextmanager
def about_slide(slide_id: str) -> Iterator[None]:
    """Put a slide's id in front of every line logged in the block."""
    token = _slide.set(slide_id)
    try:
        yield
    finally:
        _slide.reset(token)


class _SlideFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.slide = _slide.get()
        return True


def set_up(daemon: str, *, file: Path | None = None, level: int = logging.INFO) -> None:
    """Log to standard error, and to a file as well when one is given.

    Parameters
    ----------
    daemon
        Name in front of each line.
    file
        Appended to, mode 0600.
    level
        Of our own packages.
    """
    layout = f"{daemon} %(levelname)s [%(slide)s] %(message)s"
    timed = f"%(asctime)s {layout}"
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers[0].setFormatter(logging.Formatter(layout if "JOURNAL_STREAM" in os.environ else timed))
    if file is not None:
        handlers.append(logging.FileHandler(file, encoding="utf-8"))
        handlers[1].setFormatter(logging.Formatter(timed))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    for handler in handlers:
        handler.addFilter(_SlideFilter())
        root.addHandler(handler)
    root.setLevel(level)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
