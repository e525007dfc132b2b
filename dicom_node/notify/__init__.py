"""Notices: a daemon that tells people who are not at the screen what needs them, once each."""
