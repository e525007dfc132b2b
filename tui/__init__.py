"""The screen of the technician: it reads the journal and speaks to control sockets."""
