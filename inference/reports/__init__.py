"""What the appliance says of a slide, as DICOM objects and as pictures."""
