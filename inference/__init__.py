"""Inference and reports: models run over a slide, and what they found becomes DICOM."""

CODE_VERSION = "0.1.0"
"""Part of every SOP Instance UID: raised whenever the same findings would give other bytes."""
