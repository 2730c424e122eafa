"""How commands come in and events go out: MQTT, and an in-memory twin."""
