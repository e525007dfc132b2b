"""The demo: a scanner, the appliance and a PACS on one machine, over real sockets."""
