"""Applies rule packs to texts and barcodes. Pure: the same input gives the same matches."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ostiary.v1.decision_pb2 import RuleEvidence
from ostiary.v1.image_pb2 import Region
from ostiary.v1.observation_pb2 import Barcode
from ostiary_gateway.rules.cover import Cover
from ostiary_gateway.rules.document import BREAK, Document
from ostiary_gateway.rules.normal import Reading, read
from ostiary_gateway.rules.pack import RulePack
from ostiary_gateway.rules.rule import Rule


@dataclass(frozen=True)
class Match:
    """What one rule found in one document, or one barcode that it judged.

    Attributes:
        rule: the rule.
        source: `ocr`, `text` or `barcode`.
        evidence: rule, pack and the first text that matched, as it stood.
        regions: where, all places together; empty for the listing's texts.
        barcode: the barcode; None for texts.
    """

    rule: Rule
    source: str
    evidence: RuleEvidence
    regions: tuple[Region, ...] = ()
    barcode: Barcode | None = None


def match_documents(packs: Sequence[RulePack], documents: Sequence[Document]) -> list[Match]:
    """At most one match per rule and document.

    Where two rules for one label match the same text, the one with the higher score speaks for both.
    """
    return [match for document in documents for match in _match_document(packs, document)]


def match_barcodes(packs: Sequence[RulePack], barcodes: Sequence[Barcode]) -> list[Match]:
    """At most one match per barcode: the first rule that judges its format and payload."""
    matches = (_match_barcode(packs, barcode) for barcode in barcodes)
    return [match for match in matches if match]


def _match_document(packs: Sequence[RulePack], document: Document) -> list[Match]:
    reading = read(document.text, *(pack.words for pack in packs))
    rules = [(pack, rule) for pack in packs for rule in pack.index.candidates(reading.text)]
    rules = [(pack, rule) for pack, rule in rules if document.field in rule.fields]
    rules.sort(key=lambda pair: -pair[1].score)
    taken: defaultdict[str, Cover] = defaultdict(lambda: Cover(len(reading.text)))
    matches = []
    for pack, rule in rules:
        ranges = taken[rule.label].without(rule.ranges(reading.text))
        if ranges:
            taken[rule.label].add(ranges)
            matches.append(_text_match(pack, rule, document, reading, ranges))
    return matches


def _text_match(
    pack: RulePack, rule: Rule, document: Document, reading: Reading, ranges: Sequence[tuple[int, int]]
) -> Match:
    origins = [reading.source_range(start, end) for start, end in ranges]
    start, end = origins[0]
    regions = {
        (region.frame, region.box.x, region.box.y, region.box.width, region.box.height): region
        for origin in origins
        for region in document.regions(*origin)
    }
    quoted = document.text[start:end].replace(BREAK, " ")
    source = "text" if document.image_index is None else "ocr"
    return Match(rule, source, _evidence(pack, rule, document.field, quoted), tuple(regions.values()))


def _match_barcode(packs: Sequence[RulePack], barcode: Barcode) -> Match | None:
    for pack in packs:
        for rule in pack.code_rules:
            if barcode.format.casefold() in rule.formats and rule.pattern.search(_payload(barcode)):
                evidence = _evidence(pack, rule, "barcode", barcode.text)
                return Match(rule, "barcode", evidence, (barcode.region,), barcode)
    return None


def _payload(barcode: Barcode) -> str:
    return barcode.text.strip().casefold()


def _evidence(pack: RulePack, rule: Rule, field: str, matched: str) -> RuleEvidence:
    return RuleEvidence(
        rule=rule.id,
        pack=pack.label,
        jurisdiction=pack.jurisdiction,
        article=rule.article,
        matched_text=matched,
        field=field,
    )
