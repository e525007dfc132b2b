"""What a slide is: its classes, its findings, its identity, and how its pixels are read."""
