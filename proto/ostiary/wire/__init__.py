"""What both ends of a wire agree on: TLS credentials, identity, errors, servers, channels, telemetry."""
