"""The door to pydicom: it neither refuses nor reports odd values, for its words contain them."""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pydicom import config
from pydicom.errors import BytesLengthException, InvalidDicomError

FOREIGN: Final = (
    InvalidDicomError, BytesLengthException, ArithmeticError, AttributeError, EOFError,
    LookupError, NotImplementedError, RecursionError, TypeError, ValueError, struct.error,
)  # fmt: skip
"""What pydicom raises on damaged values."""


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Let pydicom read values as they are, without warnings and log lines that quote them."""
    before = config.settings.reading_validation_mode
    disabled = config.logger.disabled
    config.settings.reading_validation_mode = config.IGNORE
    config.logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        config.settings.reading_validation_mode = before
        config.logger.disabled = disabled
