"""How long it takes to judge a text by many rules: `python -m bench.rules [--rules 5000]`.

Rules are made up like those of the shipped packs: some words that all stand for one statement, a gap, a noun.
Texts are listings with some of the rules' words in them. Beside the gateway's own way, one pass with an
automaton and then the few rules that may match, stands the plain one: every rule is tried. Writes
`bench/results/rules.json`.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle, islice
from statistics import median, quantiles
from typing import Any

from bench.performance import rewrite
from bench.report import Bar, Report, installed, show, write
from ostiary.text.letters import fold
from ostiary_gateway.rules import pack
from ostiary_gateway.rules.document import Document
from ostiary_gateway.rules.index import Index
from ostiary_gateway.rules.matcher import match_documents
from ostiary_gateway.rules.normal import read
from ostiary_gateway.rules.pack import RulePack
from ostiary_gateway.rules.rule import Rule, compiled
from ostiary_gateway.rules.source import RuleSource, parse

BAR_MS = 2.0
LENGTHS = (40, 200, 2_000)
_ROUNDS = 300
_SYLLABLES = (
    "ka",
    "lo",
    "mi",
    "ner",
    "tos",
    "vel",
    "ru",
    "zan",
    "pi",
    "gor",
    "este",
    "uli",
    "fra",
    "bo",
    "xen",
)
# Chinese characters that read as themselves; what they mean does not matter here.
_SIGNS = [sign for sign in map(chr, range(0x4E00, 0x5E00)) if fold(sign) == sign]


def made_rules(count: int, seed: int = 7) -> list[RuleSource]:
    """Rules as they are written, half Chinese and half Latin, each with words and an exception of its own."""
    source = random.Random(seed)
    return [_made_rule(number, source) for number in range(count)]


def made_pack(written: Sequence[RuleSource]) -> RulePack:
    """A pack of such rules."""
    rules = [compiled(rule, {}) for rule in written]
    words = frozenset[str]().union(*(rule.words for rule in rules))
    return RulePack("made", "1", "", frozenset(), tuple(rules), b"", (), Index(rules), words)


def listings(length: int, words: Sequence[str], count: int = 50) -> list[str]:
    """Listing texts of `length` characters: what the shipped packs leave alone, every eighth piece a word."""
    sources = [parse(text) for text in pack.shipped_texts().values()]
    harmless = [case for made in sources for rule in made.rules for case in rule.ignores if not rule.formats]
    source = random.Random(3)
    return [" ".join(_pieces(harmless, words, length, source))[:length] for _ in range(count)]


def every_rule(rules: Sequence[Rule], words: frozenset[str], text: str) -> int:
    """How many rules match, each of them tried."""
    reading = read(text, words)
    return sum(bool(rule.ranges(reading.text)) for rule in rules)


def milliseconds(judge: Callable[[str], Any], texts: Sequence[str], rounds: int) -> list[float]:
    """What each of `rounds` texts took, after every text was judged once."""
    for text in texts:
        judge(text)
    taken = []
    for text in islice(cycle(texts), rounds):
        started = time.perf_counter()
        judge(text)
        taken.append((time.perf_counter() - started) * 1_000)
    return taken


def rows(packs: Mapping[str, Sequence[RulePack]], words: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each set of packs, way and length; `words` stand in the texts."""
    found = []
    for name, chosen in packs.items():
        rules = [rule for one in chosen for rule in one.rules if not rule.formats]
        vocabulary = frozenset[str]().union(*(one.words for one in chosen))
        ways: dict[str, tuple[Callable[[str], Any], int]] = {
            "automaton": (partial(_judged, chosen), _ROUNDS),
            "every rule": (partial(every_rule, rules, vocabulary), _ROUNDS // 30),
        }
        for way, (judge, rounds) in ways.items():
            for length in LENGTHS:
                taken = milliseconds(judge, listings(length, words), rounds)
                p99 = quantiles(taken, n=100)[98]
                row = {"packs": name, "rules": len(rules), "way": way, "characters": length}
                found.append({**row, "ms_median": median(taken), "ms_p99": p99})
    return found


def report(found: Sequence[dict[str, Any]], settings: dict[str, Any]) -> Report:
    """Rows with the bar: 200 characters by the made-up rules in at most 2 ms."""
    judged = [row["ms_median"] for row in found if row["packs"] == "made" and row["way"] == "automaton"]
    bar = Bar("rules: ms per text of 200 characters", judged[1] if judged else None, BAR_MS, "at most")
    return Report("rules", found, [bar], settings, installed(["ahocorasick-rs"]))


def _made_rule(number: int, source: random.Random) -> RuleSource:
    def word() -> str:
        if number % 2:
            return "".join(source.choices(_SIGNS, k=source.randint(2, 4)))
        return "".join(source.choices(_SYLLABLES, k=source.randint(2, 4)))

    first, noun = [word() for _ in range(4)], [word() for _ in range(3)]
    return RuleSource(
        id=f"made.rule{number}",
        policy="prohibited_ads",
        label="absolute_claim",
        patterns=[rf"(?<![a-z])(?:{'|'.join(first)})[^,.。!?\n]{{0,6}}(?:{'|'.join(noun)})"],
        exceptions=[rf"{word()} ?{first[0]}"],
        seller_reason="Change it.",
        matches=[first[0] + noun[0]],
        ignores=["nothing"],
    )


def _pieces(harmless: Sequence[str], words: Sequence[str], length: int, source: random.Random) -> list[str]:
    pieces = source.choices(harmless, k=1 + length // 4)
    return [source.choice(words) if source.random() < 1 / 8 else piece for piece in pieces]


def _judged(packs: Sequence[RulePack], text: str) -> Any:
    return match_documents(packs, [Document("description", text)])


def main() -> int:
    """Run, print and write; 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rules", type=int, default=5_000, help="rules made up (5,000)")
    options = parser.parse_args()
    written = made_rules(options.rules)
    # Half a statement: the rule is tried, and does not match.
    words = [rule.matches[0][:-1] for rule in written]
    packs = {"shipped": list(pack.shipped().values()), "made": [made_pack(written)]}
    result = report(rows(packs, words), vars(options))
    show(result)
    print(f"written to {write(result)}")
    rewrite()
    return 0 if all(bar.met for bar in result.bars) else 1


if __name__ == "__main__":
    sys.exit(main())
