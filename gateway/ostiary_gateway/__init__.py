"""The door: authorise, admit, route, decide, record, answer."""
