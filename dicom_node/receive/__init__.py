"""Receiving by DIMSE: from the socket to a durable object with its receipt."""
