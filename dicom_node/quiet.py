"""Keep the libraries quiet: what they would log or warn about contains attribute values."""

import logging
import sys
import warnings

from pydicom import config
from pynetdicom import _config

from appliance.daemon import describe

log = logging.getLogger(__name__)


class _BugsOnly(logging.Handler):
    """Says where an exception was met inside a library, never what it said.

    pynetdicom catches every exception of an association and only logs it: without this, a bug that
    one object meets would end its association without a trace.
    """

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002  what it says is not wanted
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            log.error("an association failed: %s", describe(error))


def silence_libraries() -> None:
    """Silence pydicom and pynetdicom in this process; our own lines say what happened."""
    for name, level in (("pydicom", logging.CRITICAL + 1), ("pynetdicom", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.propagate = False
        logger.handlers = [_BugsOnly()]
    for name in tuple(logging.root.manager.loggerDict):
        if name.startswith("pynetdicom."):  # these say where their exceptions were met
            logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pydicom")
    warnings.filterwarnings("ignore", module="pynetdicom")
    config.settings.reading_validation_mode = config.IGNORE
    _config.LOG_HANDLER_LEVEL = "none"
    _config.ENFORCE_UID_CONFORMANCE = True
