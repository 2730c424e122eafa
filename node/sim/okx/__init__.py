"""A simulated OKX (API v5): one host, one unified account, HTTP and WebSocket."""
