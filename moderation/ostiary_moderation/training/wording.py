"""The words that overlays are drawn with: contact details, and everything that only looks like them."""

from __future__ import annotations

import random
import string

_SYLLABLES = (
    "an", "bao", "chen", "da", "fei", "gu", "hua", "jin", "ke", "lin", "mei", "nan", "ou", "pei", "qi", "ru",
    "shan", "tao", "wei", "xin", "yan", "zhen", "mo", "ra", "ti", "vel",
)  # fmt: skip
_CHAT = (
    "微信", "微信号", "加微信", "VX", "V信", "WeChat", "Wechat ID", "wx", "QQ", "QQ群", "扣扣", "WhatsApp",
    "Whatsapp",
    "Telegram", "TG", "LINE ID", "Line", "Viber", "Signal", "IG", "Instagram", "抖音号", "小红书号",
)  # fmt: skip
_CALL = (
    "电话",
    "手机",
    "联系电话",
    "咨询热线",
    "Tel",
    "TEL",
    "Phone",
    "Call",
    "Call us",
    "Mobile",
    "订购热线",
    "☎",
)
_LEAD = (
    "联系我们", "私聊优惠", "加我好友", "厂家直销", "批发联系", "Contact us", "DM to order", "Order now",
    "Message me",
    "Cheaper here", "For orders", "Wholesale", "详情咨询", "代理加盟", "进群领券",
)  # fmt: skip
_SLOGANS = (
    "LOVE", "PARIS", "NEW YORK", "SUMMER", "DREAM BIG", "GOOD VIBES", "STAY WILD", "LOS ANGELES", "SPORT",
    "ORIGINAL",
    "HELLO", "NO LIMITS", "SURF CLUB", "BASKETBALL", "COLLEGE", "OCEAN", "TOKYO", "RUN", "快乐", "平安",
    "自由", "潮流",
    "少年", "VINTAGE", "DENIM", "CREW", "BERLIN", "RACING", "TIGER", "MOUNTAIN", "HAPPY", "KIDS", "Soleil",
    "Norda",
)  # fmt: skip
_NOTES = (
    "NEW", "新品", "SALE", "包邮", "现货", "7天无理由退换", "正品保证", "HOT", "BEST SELLER", "限时特价",
    "100% COTTON",
    "纯棉", "Machine wash cold", "Free shipping", "秋冬新款", "Made in Italy", "显瘦百搭", "加绒加厚",
    "Eco friendly",
    "Soft & light", "Handmade", "Slim fit", "两件8折", "尺码表", "Size guide", "实物拍摄", "高品质面料",
    "春季上新", "Unisex",
)  # fmt: skip


def handle(rng: random.Random) -> str:
    """A chat name: `meilin_88`, `shan2024`."""
    name = "".join(rng.choices(_SYLLABLES, k=rng.randint(2, 3)))
    return name + rng.choice(["", "_", ".", "-"]) + "".join(rng.choices(string.digits, k=rng.randint(0, 4)))


def phone(rng: random.Random) -> str:
    """A telephone number in one of the usual forms."""
    digits = "".join(rng.choices(string.digits, k=12))
    return rng.choice([
        f"1{rng.choice('3578')}{digits[:9]}",
        f"1{rng.choice('3578')}{digits[0]}-{digits[1:5]}-{digits[5:9]}",
        f"1{rng.choice('3578')}{digits[0]} {digits[1:5]} {digits[5:9]}",
        f"+86 1{rng.choice('3578')}{digits[:9]}",
        f"+1 ({rng.randint(201, 989)}) {digits[:3]}-{digits[3:7]}",
        f"({rng.randint(201, 989)}) {digits[:3]} {digits[3:7]}",
        f"+44 7{digits[:3]} {digits[3:9]}",
        f"0{rng.randint(10, 99)}-{digits[:8]}",
        f"+{rng.randint(30, 98)} {digits[:3]} {digits[3:6]} {digits[6:10]}",
    ])  # fmt: skip


def site(rng: random.Random) -> str:
    """A web or mail address."""
    name = "".join(rng.choices(_SYLLABLES, k=rng.randint(2, 3)))
    end = rng.choice(["com", "cn", "shop", "net", "com.cn", "store", "top", "io"])
    form = rng.choice(
        ["www.{0}.{1}", "https://{0}.{1}", "{0}.{1}", "{0}@{0}.{1}", "t.me/{0}", "wa.me/86{2}", "{2}@qq.com"]
    )
    return form.format(name, end, "".join(rng.choices(string.digits, k=9)))


def contact_lines(rng: random.Random) -> list[str]:
    """One to four lines that tell how to reach somebody; each list holds at least one address or number."""
    forms = [
        lambda: f"{rng.choice(_CHAT)}{rng.choice(['：', ': ', ' ', ':'])}{rng.choice([handle, phone])(rng)}",
        lambda: f"{rng.choice(_CALL)}{rng.choice(['：', ': ', ' '])}{phone(rng)}",
        lambda: phone(rng),
        lambda: site(rng),
        lambda: f"QQ{rng.choice(['：', ': ', ' '])}{rng.randint(10**7, 10**10)}",
        lambda: f"@{handle(rng)}",
    ]
    weights = [5, 3, 3, 2, 2, 1]
    lines = [rng.choices(forms, weights)[0]() for _ in range(rng.choice([1, 1, 1, 2, 2, 3]))]
    if rng.random() < 0.4:
        lines.insert(0, rng.choice(_LEAD))
    return lines


def garment_lines(rng: random.Random) -> list[str]:
    """What is printed on clothes: slogans, years, team numbers, sizes."""
    forms = [
        lambda: rng.choice(_SLOGANS),
        lambda: f"{rng.choice(_SLOGANS)} {rng.randint(1960, 2026)}",
        lambda: str(rng.randint(1, 99)),
        lambda: f"EST. {rng.randint(1890, 2020)}",
        lambda: rng.choice(["S", "M", "L", "XL", "XXL", "38", "40", "42", "Size M", "EUR 41"]),
        lambda: "".join(rng.choices(_SYLLABLES, k=2)).title(),
    ]
    return [rng.choice(forms)() for _ in range(rng.choice([1, 1, 2, 3]))]


def note_lines(rng: random.Random) -> list[str]:
    """What sellers lawfully write over photographs: offers, materials, prices, size charts."""
    if rng.random() < 0.25:
        return _size_chart(rng)
    forms = [
        lambda: rng.choice(_NOTES),
        lambda: f"{rng.choice(['¥', '$', '€', '￥'])}{rng.randint(9, 999)}{rng.choice(['', '.00', '.90'])}",
        lambda: f"-{rng.randint(1, 9)}0%",
        lambda: f"{rng.randint(2019, 2026)}{rng.choice([' collection', '新款', ' SS', '年秋冬'])}",
        lambda: f"{rng.randint(1, 28)}.{rng.randint(1, 12)}.{rng.randint(2019, 2026)}",
    ]
    return [rng.choice(forms)() for _ in range(rng.choice([1, 1, 2, 3]))]


def _size_chart(rng: random.Random) -> list[str]:
    start = rng.randint(40, 90)
    step = rng.randint(2, 5)
    sizes = ["S", "M", "L", "XL", "XXL"][: rng.randint(3, 5)]
    head = rng.choice(["尺码 衣长 胸围", "Size Length Bust", "尺码 肩宽 袖长", "Size Waist Hip"])
    return [head, *(f"{size}  {start + i * step}  {start + 36 + i * step}" for i, size in enumerate(sizes))]
