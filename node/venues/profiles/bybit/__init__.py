"""What is peculiar about Bybit: ``profile`` puts it together."""
