"""What the terminal itself can do beside text: pictures, a bell, a desktop notification."""
