"""Bybit V5: one unified account (UTA 2.0) for spot, linear and inverse contracts."""
