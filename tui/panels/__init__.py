"""What the cards of the screens say: pure functions from values to styled text."""
