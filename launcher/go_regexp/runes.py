"""Sets of code points: Go's named classes, Unicode's categories, and what differs only in case.

Categories and case come from Python's `unicodedata`; Go 1.21 to 1.26 have Unicode 15.0, Python 3.10 to 3.14 have 13.0
to 16.0: they differ only in characters that one of them does not know yet.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable
from functools import cache

from launcher.go_regexp.nodes import Ranges

MAX_RUNE = 0x10FFFF
ANY: Ranges = ((0, MAX_RUNE),)
NOT_NEWLINE: Ranges = ((0, 9), (11, MAX_RUNE))

_DIGIT: Ranges = ((0x30, 0x39),)
_LOWER: Ranges = ((0x61, 0x7A),)
_UPPER: Ranges = ((0x41, 0x5A),)
_WORD: Ranges = (*_DIGIT, *_UPPER, (0x5F, 0x5F), *_LOWER)

PERL: dict[str, Ranges] = {"d": _DIGIT, "s": ((9, 10), (12, 13), (32, 32)), "w": _WORD}
POSIX: dict[str, Ranges] = {
    "alnum": (*_DIGIT, *_UPPER, *_LOWER),
    "alpha": (*_UPPER, *_LOWER),
    "ascii": ((0, 0x7F),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 0x1F), (0x7F, 0x7F)),
    "digit": _DIGIT,
    "graph": ((0x21, 0x7E),),
    "lower": _LOWER,
    "print": ((0x20, 0x7E),),
    "punct": ((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)),
    "space": ((9, 13), (32, 32)),
    "upper": _UPPER,
    "word": _WORD,
    "xdigit": (*_DIGIT, (0x41, 0x46), (0x61, 0x66)),
}


def union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The same code points in order, overlapping and adjoining ranges joined."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def negated(ranges: Ranges) -> Ranges:
    """All other code points."""
    lows = [0, *(high + 1 for _, high in ranges)]
    highs = [*(low - 1 for low, _ in ranges), MAX_RUNE]
    return tuple((low, high) for low, high in zip(lows, highs, strict=True) if low <= high)


def has(ranges: Ranges, code_point: int) -> bool:
    """Is it one of them?"""
    index = bisect_right(ranges, (code_point, MAX_RUNE)) - 1
    return index >= 0 and code_point <= ranges[index][1]


# ---- case ----------------------------------------------------------------------------------------------------------

_CASED = ((0, 0x2E00), (0xA000, 0xAC00), (0xFB00, 0x10000), (0x10000, 0x1F000))  # no other block has letters with case
_BEYOND_ASCII = {"k": 0x212A, "s": 0x17F}  # the Kelvin sign and the long s


def folded(ranges: Ranges) -> Ranges:
    """With them all that differs from one of them only in case, as Go's `unicode.SimpleFold` sees it."""
    more: list[tuple[int, int]] = []
    if not ranges or ranges[-1][1] < 0x80:
        for low, high in ranges:
            for code_point in range(low, high + 1):
                letter = chr(code_point).lower()
                if "a" <= letter <= "z":
                    alike = [ord(letter), ord(letter.upper()), _BEYOND_ASCII.get(letter, code_point)]
                    more.extend((other, other) for other in alike)
    else:
        for alike in _alike_but_for_case():
            if any(has(ranges, code_point) for code_point in alike):
                more.extend((other, other) for other in alike)
    return union((*ranges, *more))


@cache
def _alike_but_for_case() -> list[list[int]]:
    """Sets of two and more code points with the same simple case folding (CaseFolding.txt, status C and S)."""
    alike: dict[str, list[int]] = {}
    for low, high in _CASED:
        for code_point in range(low, high):
            alike.setdefault(_simple_folding(chr(code_point)), []).append(code_point)
    return [code_points for code_points in alike.values() if len(code_points) > 1]


def _simple_folding(character: str) -> str:
    """Where the full folding has several characters, the simple one is the lower case, if that is one character."""
    for folding in (character.casefold(), character.lower()):
        if len(folding) == 1:
            return folding
    return character


# ---- categories ----------------------------------------------------------------------------------------------------

_ALIASES = """Casedletter=LC Closepunctuation=Pe Combiningmark=M Connectorpunctuation=Pc Control=Cc Currencysymbol=Sc
    Dashpunctuation=Pd Decimalnumber=Nd Enclosingmark=Me Finalpunctuation=Pf Format=Cf Initialpunctuation=Pi Letter=L
    Letternumber=Nl Lineseparator=Zl Lowercaseletter=Ll Mark=M Mathsymbol=Sm Modifierletter=Lm Modifiersymbol=Sk
    Nonspacingmark=Mn Number=N Openpunctuation=Ps Other=C Otherletter=Lo Othernumber=No Otherpunctuation=Po
    Othersymbol=So Paragraphseparator=Zp Privateuse=Co Punctuation=P Separator=Z Spaceseparator=Zs Spacingmark=Mc
    Surrogate=Cs Symbol=S Titlecaseletter=Lt Unassigned=Cn Uppercaseletter=Lu Cntrl=Cc Digit=Nd Punct=P"""
_CATEGORY_OF = dict(pair.split("=") for pair in _ALIASES.split())
_CATEGORIES = """C Cc Cf Cn Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp
    Zs""".split()
SCRIPTS = frozenset(
    """Adlam Ahom Anatolianhieroglyphs Arabic Armenian Avestan Balinese Bamum Bassavah Batak Bengali Bhaiksuki Bopomofo
    Brahmi Braille Buginese Buhid Canadianaboriginal Carian Caucasianalbanian Chakma Cham Cherokee Chorasmian Common
    Coptic Cuneiform Cypriot Cyprominoan Cyrillic Deseret Devanagari Divesakuru Dogra Duployan Egyptianhieroglyphs
    Elbasan Elymaic Ethiopic Georgian Glagolitic Gothic Grantha Greek Gujarati Gunjalagondi Gurmukhi Han Hangul
    Hanifirohingya Hanunoo Hatran Hebrew Hiragana Imperialaramaic Inherited Inscriptionalpahlavi Inscriptionalparthian
    Javanese Kaithi Kannada Katakana Kawi Kayahli Kharoshthi Khitansmallscript Khmer Khojki Khudawadi Lao Latin Lepcha
    Limbu Lineara Linearb Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean Marchen Masaramgondi
    Medefaidrin Meeteimayek Mendekikakui Meroiticcursive Meroitichieroglyphs Miao Modi Mongolian Mro Multani Myanmar
    Nabataean Nagmundari Nandinagari Newtailue Newa Nko Nushu Nyiakengpuachuehmong Ogham Olchiki Oldhungarian Olditalic
    Oldnortharabian Oldpermic Oldpersian Oldsogdian Oldsoutharabian Oldturkic Olduyghur Oriya Osage Osmanya
    Pahawhhmong Palmyrene Paucinhau Phagspa Phoenician Psalterpahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian
    Siddham Signwriting Sinhala Sogdian Sorasompeng Soyombo Sundanese Sylotinagri Syriac Tagalog Tagbanwa Taile
    Taitham Taiviet Takri Tamil Tangsa Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta Toto Ugaritic Vai Vithkuqi
    Wancho Warangciti Yezidi Yi Zanabazarsquare""".split()
)  # Unicode 15.0's, as Go 1.21 and later know them


def canonical(name: str) -> str:
    """A category's or script's name as Go looks it up since 1.25: without `_`, `-` and spaces, in this case: Letter."""
    bare = name.translate({ord("_"): None, ord("-"): None, ord(" "): None})
    return bare[:1].upper() + bare[1:].lower() if bare.isascii() else bare


def category(name: str) -> Ranges | None:
    """The code points of a category by its canonical name, or of Any, Assigned, ASCII; None if there is none of it."""
    if name == "Any":
        return ANY
    if name == "Ascii":
        return ((0, 0x7F),)
    if name == "Assigned":
        return negated(_by_category()["Cn"])
    name = _CATEGORY_OF.get(name, name)
    if name in ("LC", "Lc"):
        return union(pair for part in ("Lu", "Ll", "Lt") for pair in _by_category()[part])
    if name not in _CATEGORIES:
        return None
    return union(pair for key, ranges in _by_category().items() if key.startswith(name) for pair in ranges)


@cache
def _by_category() -> dict[str, Ranges]:
    found: dict[str, list[tuple[int, int]]] = {key: [] for key in _CATEGORIES if len(key) == 2}
    # The planes 4 to 13 are unassigned; 14 has little; 15 and 16 are for private use, but for the last two of each.
    for first, end in ((0, 0x40000), (0xE0000, 0xE1000)):
        start, current = first, unicodedata.category(chr(first))
        for code_point in range(first + 1, end):
            this = unicodedata.category(chr(code_point))
            if this != current:
                found[current].append((start, code_point - 1))
                start, current = code_point, this
        found[current].append((start, end - 1))
    found["Cn"] += [(0x40000, 0xDFFFF), (0xE1000, 0xEFFFF), (0xFFFFE, 0xFFFFF), (0x10FFFE, 0x10FFFF)]
    found["Co"] += [(0xF0000, 0xFFFFD), (0x100000, 0x10FFFD)]
    return {key: union(ranges) for key, ranges in found.items()}
