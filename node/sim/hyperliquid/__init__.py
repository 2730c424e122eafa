"""Hyperliquid: ``POST /info``, ``POST /exchange`` and one WebSocket, with signed actions instead of API keys."""
