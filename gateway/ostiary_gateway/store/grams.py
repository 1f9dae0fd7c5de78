"""Grams of words, by which texts that hold them are found. Pure.

A text has all its trigrams among its grams, and all its pairs of Chinese characters. The PostgreSQL function
`ostiary_grams` makes them of whole texts.
"""

_FIRST_CHINESE = 11904  # U+2E80: from there on, two characters are a word


def grams(word: str) -> list[str]:
    """What every text has among its grams that holds the word; nothing where that says nothing."""
    if len(word) == 2 and _chinese(word):
        return [word]
    return list(dict.fromkeys(_trigrams(word)))


def grams_in(whole: str) -> list[str]:
    """All the grams of a text; some more than once."""
    found = _trigrams(whole)
    if not whole.isascii():
        found += [pair for start in range(len(whole) - 1) if _chinese(pair := whole[start : start + 2])]
    return found


def _trigrams(whole: str) -> list[str]:
    return [whole[start : start + 3] for start in range(len(whole) - 2)]


def _chinese(letters: str) -> bool:
    return all(ord(letter) >= _FIRST_CHINESE for letter in letters)
