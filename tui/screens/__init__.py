"""What fills the terminal: each screen composes widgets and computes nothing."""
