"""What is peculiar about Coinbase: ``profile`` puts it together."""
