"""What is peculiar about Kraken Futures: ``profile`` puts it together."""
