"""Check digits: what tells a card or an identity number from any other number."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["CHECKS"]

_VERHOEFF_D = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_VERHOEFF_P = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip
_IBANS = {
    15: "NO",
    16: "BE",
    18: "DK FI FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HU LB PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU",
    31: "MT SC",
    32: "LC",
}
"""Characters -> countries (SWIFT's registry of IBANs)."""
_IBAN_LENGTHS = {country: size for size, countries in _IBANS.items() for country in countries.split()}
_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"
_HETU = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_FISCAL_ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", (
    1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
), strict=True))  # fmt: skip
"""Italy: what a letter or digit at an odd place counts."""


def _digits(text: str) -> list[int]:
    return [int(c) for c in text if "0" <= c <= "9"]


def _luhn(text: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    digits = _digits(text)[::-1]
    return (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0


def _card(text: str) -> bool:
    """An issuer that there is, its length, and Luhn: one in ten of other numbers passes the last alone."""
    number = "".join(map(str, _digits(text)))
    size, two, four = len(number), int(number[:2]), int(number[:4])
    fits = (
        (number[0] == "4" and size in (13, 16, 19))
        or ((51 <= two <= 55 or 2221 <= four <= 2720) and size == 16)
        or (two in (34, 37) and size == 15)
        or (two in (36, 38, 39) and size == 14)
        or (300 <= int(number[:3]) <= 305 and size == 14)
        or ((four == 6011 or two == 65 or 644 <= int(number[:3]) <= 649) and size == 16)
        or (3528 <= four <= 3589 and size == 16)
        or (two == 62 and 16 <= size <= 19)
    )
    return fits and len(set(number)) > 1 and _luhn(number)


def _iban(text: str) -> bool:
    """ISO 13616: the country's length, and mod 97."""
    plain = "".join(text.split()).upper()
    if _IBAN_LENGTHS.get(plain[:2]) != len(plain):
        return False
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _ssn(text: str) -> bool:
    """Return whether it is one of the United States: areas, groups and serials that are given out."""
    area, group, serial = text[:3], text[4:6], text[7:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _verhoeff(text: str) -> bool:
    """India's Aadhaar."""
    row = 0
    for place, digit in enumerate(reversed(_digits(text))):
        row = int(_VERHOEFF_D[row][int(_VERHOEFF_P[place % 8][digit])])
    return row == 0


def _cpf(text: str) -> bool:
    """Brazil."""
    digits = _digits(text)
    sums = (sum(d * w for d, w in zip(digits, range(n + 1, 1, -1), strict=False)) for n in (9, 10))
    return [s * 10 % 11 % 10 for s in sums] == digits[9:] and len(set(digits)) > 1


def _dni(text: str) -> bool:
    """Spain, DNI and NIE."""
    number = text[:-1].upper().translate(str.maketrans("XYZ", "012"))
    return _DNI[int(number.replace("-", "")) % 23] == text[-1].upper()


def _fiscal(text: str) -> bool:
    """Italy's codice fiscale."""
    total = sum(_FISCAL_ODD[c] if place % 2 == 0 else int(c, 36) - 10 * (c > "9") for place, c in enumerate(text[:15]))
    return chr(65 + total % 26) == text[15]


def _nir(text: str) -> bool:
    """France."""
    plain = "".join(text.split())
    number = plain[:-2].replace("2A", "19").replace("2B", "18")
    return number.isdigit() and 97 - int(number) % 97 == int(plain[-2:])


def _hetu(text: str) -> bool:
    """Finland."""
    return _HETU[int(text[:6] + text[7:10]) % 31] == text[10]


def _personnummer(text: str) -> bool:
    """Sweden."""
    return 1 <= int(text[-9:-7]) <= 12 and 1 <= int(text[-7:-5]) % 60 <= 31 and _luhn(text[-11:])


def _ahv(text: str) -> bool:
    """Switzerland: EAN-13."""
    digits = _digits(text)
    return (sum(digits[::2]) + 3 * sum(digits[1::2])) % 10 == 0


def _resident(text: str) -> bool:
    """China: ISO 7064, MOD 11-2."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return (
        "10X98765432"[sum(int(c) * w for c, w in zip(text[:17], weights, strict=True)) % 11] == text[17].upper()
        and 1 <= int(text[10:12]) <= 12
        and 1 <= int(text[12:14]) <= 31
    )


def _phone(text: str) -> bool:
    """International form (E.164): 8 to 15 digits; without any separator only what is long enough not to be a signed number."""
    count = len(_digits(text))
    return 8 <= count <= 15 and (count >= 11 or not text[1:].isdigit())


CHECKS: dict[str, Callable[[str], bool]] = {
    "card": _card, "iban": _iban, "ssn": _ssn, "verhoeff": _verhoeff, "cpf": _cpf, "dni": _dni, "fiscal": _fiscal, "nir": _nir,
    "hetu": _hetu, "personnummer": _personnummer, "ahv": _ahv, "resident": _resident, "luhn": _luhn, "phone": _phone,
}  # fmt: skip
"""Name -> whether a text of the right shape has the right check digits."""
