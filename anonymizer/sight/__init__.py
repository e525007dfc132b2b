"""What can be read in pixels: text and barcodes on the kept images, and what the label says."""
