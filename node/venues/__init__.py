"""Exchanges behind one port: connection pool, emergency lane, ccxt, profiles."""
