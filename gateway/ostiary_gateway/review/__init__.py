"""The review desk's side of the record: what is found, shown and proved."""
