"""The sentence that a photograph is described with, assembled from its labels, in English and Chinese.
Pure.
"""

from __future__ import annotations

from ostiary_moderation.bundle import UNKNOWN

_ENGLISH = {
    "body": "baby body", "longsleeve": "long-sleeved top", "outwear": "piece of outerwear",
    "pants": "pair of pants",
    "polo": "polo shirt", "shoes": "pair of shoes", "shorts": "pair of shorts", "undershirt": "undershirt",
    UNKNOWN: "product",
}  # fmt: skip
_CHINESE = {
    "blazer": "西装外套", "blouse": "女式衬衫", "body": "连体衣", "dress": "连衣裙", "hat": "帽子",
    "hoodie": "连帽衫",
    "longsleeve": "长袖上衣", "outwear": "外套", "pants": "长裤", "polo": "Polo衫", "shirt": "衬衫",
    "shoes": "鞋子",
    "shorts": "短裤", "skirt": "半身裙", "t-shirt": "T恤", "top": "上衣", "undershirt": "背心",
}  # fmt: skip
_COLOURS = {
    "black": "黑色", "white": "白色", "grey": "灰色", "red": "红色", "orange": "橙色", "yellow": "黄色",
    "green": "绿色",
    "blue": "蓝色", "purple": "紫色", "pink": "粉色", "brown": "棕色", "beige": "米色",
}  # fmt: skip


_AUDIENCES = {"adults": "成人", "kids": "儿童", UNKNOWN: ""}
_PATTERNS = {
    "striped": "条纹", "checked": "格纹", "dotted": "波点", "floral": "碎花", "graphic": "印花",
    "other": "花色",
}  # fmt: skip


def describe(language: str, category: str, colour: str, pattern: str, audience: str) -> str:
    """`A blue striped dress for adults.` or its Chinese counterpart; `A blue product.` where kind and
    audience are unknown.
    """
    if language == "zh":
        people = _AUDIENCES[audience]
        return f"一件{people}{_COLOURS[colour]}{_PATTERNS.get(pattern, '')}{_CHINESE.get(category, '商品')}。"
    words = {"plain": "", "graphic": "printed ", "other": "patterned "}.get(pattern, f"{pattern} ")
    article = "An" if colour[0] in "aeiou" else "A"
    kind = _ENGLISH.get(category, category)
    return f"{article} {colour} {words}{kind}{'' if audience == UNKNOWN else f' for {audience}'}."
