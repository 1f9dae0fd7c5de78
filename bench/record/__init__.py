"""What the record takes: appending, verifying, searching and judging again."""
