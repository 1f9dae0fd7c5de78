"""Who may call what: rules, the files that they are written in, and a record of what they said."""
