"""What tests stand on: real services, and the wait for what they do."""
