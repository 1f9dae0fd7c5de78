"""Grams of words, as the PostgreSQL function `ostiary_grams` makes them of whole texts. Pure."""

_FIRST_CHINESE = 11904  # U+2E80: from there on, two characters are a word


def grams(word: str) -> list[str]:
    """What every text has among its grams that holds the word; nothing where that says nothing."""
    if len(word) == 2 and all(ord(letter) >= _FIRST_CHINESE for letter in word):
        return [word]
    return list(dict.fromkeys(word[start : start + 3] for start in range(len(word) - 2)))
