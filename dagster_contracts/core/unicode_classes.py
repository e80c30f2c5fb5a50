"""Names of the classes of Unicode that patterns may ask for (`\\p{Greek}`): those of Rust's regex, by its loose matching of names."""

from __future__ import annotations

import re

_SCRIPTS = """
adlam ahom anatolianhieroglyphs arabic armenian avestan balinese bamum bassavah batak bengali bhaiksuki bopomofo brahmi braille
buginese buhid canadianaboriginal carian caucasianalbanian chakma cham cherokee chorasmian common coptic cuneiform cypriot
cyprominoan cyrillic deseret devanagari divesakuru dogra duployan egyptianhieroglyphs elbasan elymaic ethiopic garay georgian
glagolitic gothic grantha greek gujarati gunjalagondi gurmukhi gurungkhema han hangul hanifirohingya hanunoo hatran hebrew
hiragana imperialaramaic inherited inscriptionalpahlavi inscriptionalparthian javanese kaithi kannada katakana kawi kayahli
kharoshthi khitansmallscript khmer khojki khudawadi kiratrai lao latin lepcha limbu lineara linearb lisu lycian lydian mahajani
makasar malayalam mandaic manichaean marchen masaramgondi medefaidrin meeteimayek mendekikakui meroiticcursive meroitichieroglyphs
miao modi mongolian mro multani myanmar nabataean nagmundari nandinagari newtailue newa nko nushu nyiakengpuachuehmong ogham
olchiki olonal oldhungarian olditalic oldnortharabian oldpermic oldpersian oldsogdian oldsoutharabian oldturkic olduyghur oriya
osage osmanya pahawhhmong palmyrene paucinhau phagspa phoenician psalterpahlavi rejang runic samaritan saurashtra sharada shavian
siddham signwriting sinhala sogdian sorasompeng soyombo sundanese sunuwar sylotinagri syriac tagalog tagbanwa taile taitham
taiviet takri tamil tangsa tangut telugu thaana thai tibetan tifinagh tirhuta todhri toto tulutigalari ugaritic vai vithkuqi
wancho warangciti yezidi yi zanabazarsquare arab armn beng cyrl deva geor grek gujr guru hang hani hebr hira kana khmr knda laoo
latn mlym mong mymr orya sinh taml telu thaa tibt zyyy zinh qaai
"""
_CATEGORIES = """
l letter lc casedletter lu uppercaseletter ll lowercaseletter lt titlecaseletter lm modifierletter lo otherletter m mark
combiningmark mn nonspacingmark mc spacingmark me enclosingmark n number nd decimalnumber digit nl letternumber no othernumber p
punctuation punct pc connectorpunctuation pd dashpunctuation ps openpunctuation pe closepunctuation pi initialpunctuation pf
finalpunctuation po otherpunctuation s symbol sm mathsymbol sc currencysymbol sk modifiersymbol so othersymbol z separator zs
spaceseparator zl lineseparator zp paragraphseparator c other cc control cntrl cf format co privateuse cn unassigned any ascii
assigned
"""
_PROPERTIES = """
alphabetic alpha asciihexdigit ahex bidicontrol bidic caseignorable ci cased changeswhencasefolded cwcf changeswhencasemapped cwcm
changeswhenlowercased cwl changeswhentitlecased cwt changeswhenuppercased cwu dash defaultignorablecodepoint di deprecated dep
diacritic dia emoji emojicomponent emojimodifier emojimodifierbase emojipresentation extendedpictographic extpict extender ext
graphemebase grbase graphemeextend grext hexdigit hex hyphen idcontinue idc idstart ids ideographic ideo joincontrol joinc
logicalorderexception loe lowercase lower math noncharactercodepoint nchar otheralphabetic patternsyntax patsyn patternwhitespace
patws quotationmark qmark radical regionalindicator ri sentenceterminal sterm softdotted sd terminalpunctuation term
unifiedideograph uideo uppercase upper variationselector vs whitespace wspace space xidcontinue xidc xidstart xids
"""
_KINDS = {
    **dict.fromkeys(("gc", "generalcategory"), frozenset(_CATEGORIES.split())),
    **dict.fromkeys(("sc", "script", "scx", "scriptextensions"), frozenset(_SCRIPTS.split())),
}
_NAMES = frozenset((_SCRIPTS + _CATEGORIES + _PROPERTIES).split())


def is_class(name: str) -> bool:
    """Whether `name` (what stands in `\\p{...}`) is a class: a category, script or property, or `sc=Greek`, `gc:Lu`, `gc!=Lu`."""
    kind, sign, value = re.fullmatch("([^:=!]*)(!=|:|=)?(.*)", name, re.DOTALL).groups()  # type: ignore[union-attr]
    if not sign:
        return _folded(name) in _NAMES
    if _folded(kind) == "age":
        return re.fullmatch(r"[vV]?[0-9]+[._][0-9]+", value) is not None
    return _folded(value) in _KINDS.get(_folded(kind), ())


def _folded(name: str) -> str:
    folded = re.sub("[ _-]", "", name).lower()
    return folded[2:] if folded.startswith("is") and len(folded) > 2 else folded
