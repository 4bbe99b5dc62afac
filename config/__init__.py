"""What can be set, with its bounds and reasons: typed settings, the NATS configuration, the schema."""
