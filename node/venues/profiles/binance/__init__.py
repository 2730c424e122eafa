"""What is peculiar about Binance: ``profile`` puts it together."""
