"""Tells somebody who did not ask, by a webhook, and never on the path of a command."""
