"""B2PRIME (the B2TRADER platform): a class in ccxt's style, ``exchange.b2prime``, and the node's ``profile``."""
