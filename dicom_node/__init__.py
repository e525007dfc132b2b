"""The DICOM node: receives slides from scanners, delivers products to their peers."""
