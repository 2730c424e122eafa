"""Binance: spot, USD-M and COIN-M futures behind one port, told apart by host name and path."""
