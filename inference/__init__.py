"""Inference and reports: models run over a slide, and what they found becomes DICOM."""

import os
from typing import Final

CODE_VERSION = "0.1.0"
"""Part of every SOP Instance UID: raised whenever the same findings would give other bytes."""

NO_TELEMETRY: Final = "ORT_DISABLE_TELEMETRY"
# From 1.29 on ONNX Runtime for Linux reports sessions and models to its maker unless this is set
# before it is loaded. Nothing may leave an appliance but by release.
os.environ[NO_TELEMETRY] = "1"
