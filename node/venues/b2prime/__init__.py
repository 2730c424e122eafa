"""B2PRIME (the B2TRADER platform): a class in ccxt's style, ``node.venues.b2prime.exchange.b2prime``."""
