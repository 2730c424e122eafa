"""Where the time of a close goes, inside the node."""
