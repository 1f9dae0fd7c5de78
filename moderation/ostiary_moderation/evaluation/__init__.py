"""Measures what a bundle can see, on photographs of senders that it never learnt from."""
