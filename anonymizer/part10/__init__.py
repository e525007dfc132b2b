"""DICOM files as raw bytes (PS3.10): read strictly, no value ever converted."""
