"""The product shown in one command: broker, simulated venue, the real daemon, four signed commands, a verdict."""
