"""STOW-RS in (PS3.18 10.5): scanners that exchange by DICOMweb, behind the same durable path.

A process of its own takes the requests. Whatever blocks (files, receipts, the journal) happens in
one thread a request; the event loop only moves bytes. Off unless the settings have a `dicomweb`
table.
"""
