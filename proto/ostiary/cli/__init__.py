"""The `ostiary` command and the client's commands."""
