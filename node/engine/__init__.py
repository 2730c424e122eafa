"""What carries a command out: inbox, dispatcher, executor, lock ledger, outbox."""
