"""The list of certificate serials that are refused before they expire."""


def parse_deny_list(data: bytes) -> frozenset[int]:
    """Serials of a deny-list: one in hex per line, colons allowed, `#` begins a comment.

    Raises ValueError that names the line which is not a serial: half a list must not replace a whole one.
    """
    serials = set()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 text: {error}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.partition("#")[0].strip()
        if entry:
            serials.add(parse_serial(entry, f"line {number}"))
    return frozenset(serials)


def parse_serial(text: str, where: str = "serial") -> int:
    """A serial in hex, with or without colons between its bytes; ValueError naming `where` otherwise."""
    digits = text.replace(":", "")
    # int() alone would take signs, spaces, underscores and 0x.
    if not digits or not all(character in "0123456789abcdefABCDEF" for character in digits):
        raise ValueError(f"{where}: {text!r} is not a serial in hex")
    return int(digits, 16)
