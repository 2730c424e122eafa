"""What is peculiar about Kraken (spot and its margin positions): ``profile`` puts it together."""
