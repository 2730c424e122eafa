"""The durable record: commands, events, locks, outbox."""
