"""What a trading engine imports."""
