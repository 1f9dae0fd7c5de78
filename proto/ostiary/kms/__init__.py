"""APIs of key management services that Ostiary calls as they are."""
