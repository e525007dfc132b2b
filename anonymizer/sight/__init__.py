"""What can be read in pixels: labels, barcodes, text on the glass."""
