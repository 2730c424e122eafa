"""What is peculiar about Hyperliquid: ``profile`` puts it together."""
