"""Asking model servers of one recipient by the Open Inference Protocol, version 2."""
