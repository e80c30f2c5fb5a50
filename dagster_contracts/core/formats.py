"""The words of `format`: of text as regular expressions that run in linear time (Rust's dialect), of numbers as ranges. Pure."""

from __future__ import annotations

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # of a host name, RFC 1123
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_ESCAPED = "%[0-9A-Fa-f]{2}"
_URI_TAIL = rf"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|{_ESCAPED})"  # what RFC 3986 allows after the scheme
_SCHEME = "[A-Za-z][A-Za-z0-9+.-]*"
_ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"  # of an address, between dots
_LEAP = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_MONTHS = "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8])"
DATE = f"(?:[0-9]{{4}}-(?:{_MONTHS})|{_LEAP}-02-29)"  # of the calendar, leap years included
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"  # RFC 3339
_AMOUNT = "[0-9]+(?:[.,][0-9]+)?"
_CLOCK_SPAN = f"T(?:{_AMOUNT}H(?:{_AMOUNT}M)?(?:{_AMOUNT}S)?|{_AMOUNT}M(?:{_AMOUNT}S)?|{_AMOUNT}S)"
_DAY_SPAN = f"(?:{_AMOUNT}Y(?:{_AMOUNT}M)?(?:{_AMOUNT}D)?|{_AMOUNT}M(?:{_AMOUNT}D)?|{_AMOUNT}D)"


def _ipv6() -> str:
    """RFC 4291: eight groups, the last two of which may be written as IPv4, and one run of zero groups as "::"."""
    group = "[0-9A-Fa-f]{1,4}"
    last = f"(?:{group}:{group}|{_IPV4})"
    forms = [f"(?:{group}:){{6}}{last}"]
    for before in range(6):  # groups before "::", followed by up to 5 - before groups and the last two
        start = f"{group}(?::{group}){{{before - 1}}}" if before else ""
        forms.append(f"{start}::(?:{group}:){{0,{5 - before}}}{last}")
    forms += [f"(?:{group}(?::{group}){{0,5}})?::{group}", f"(?:{group}(?::{group}){{0,6}})?::"]
    return "|".join(forms)


TEXT_PATTERNS = {
    "email": rf"^{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*$",  # as browsers check it (HTML, input type=email), dots as RFC 5322
    "uuid": "^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
    "uri": f"^{_SCHEME}:{_URI_TAIL}*$",
    "url": f"^{_SCHEME}://{_URI_TAIL}+$",
    "hostname": rf"^{_LABEL}(?:\.{_LABEL})*$",
    "ipv4": f"^{_IPV4}$",
    "ipv6": f"^(?:{_ipv6()})$",
    "byte": "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",  # base64, RFC 4648
    "date": f"^{DATE}$",
    "date-time": f"^{DATE}[Tt ]{_CLOCK}$",
    "time": f"^{_CLOCK}$",
    "duration": f"^P(?:{_DAY_SPAN}(?:{_CLOCK_SPAN})?|{_CLOCK_SPAN}|{_AMOUNT}W)$",
}

LONGEST = {"hostname": 253}  # characters: what no pattern of labels can ask for

# Words that say how a value is shown or carried, and ask nothing of it.
TEXT_WITHOUT_RULE = {
    "password": "says how a value is shown, and asks nothing of it",
    "binary": "is any sequence of bytes",
}

INTEGERS = {
    **{f"i{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64, 128)},
    **{f"u{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64, 128)},
}

LARGEST_FLOAT = {
    "float16": 65_504.0,
    "bfloat16": 3.3895313892515355e38,
    "float32": 3.4028234663852886e38,
    "float64": 1.7976931348623157e308,
}
FLOATS = {"f32": LARGEST_FLOAT["float32"], "f64": LARGEST_FLOAT["float64"]}
