"""What is peculiar about KuCoin: ``profile`` puts it together."""
