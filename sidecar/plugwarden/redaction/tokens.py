"""Tokens that say by their first letters what they are. A row a kind; one loop finds them all."""

from __future__ import annotations

from collections.abc import Iterator

from .places import Place, compiled, words

__all__ = ["TOKENS", "find_tokens"]

TOKENS: tuple[tuple[str, int], ...] = (
    ("ghp_", 20), ("gho_", 20), ("ghu_", 20), ("ghs_", 20), ("ghr_", 20), ("github_pat_", 20),  # GitHub
    ("glpat-", 16), ("gldt-", 16), ("glrt-", 16), ("glptt-", 16), ("glcbt-", 16), ("glsoat-", 16), ("glft-", 16), ("gloas-", 16),
    ("xoxb-", 10), ("xoxp-", 10), ("xoxa-", 10), ("xoxr-", 10), ("xoxs-", 10), ("xoxe-", 10), ("xoxe.", 10), ("xapp-", 10),  # Slack
    ("sk-", 20),  # OpenAI, Anthropic
    ("sk_live_", 10), ("sk_test_", 10), ("rk_live_", 10), ("rk_test_", 10), ("whsec_", 16),  # Stripe
    ("gsk_", 20), ("xai-", 20), ("pplx-", 20), ("hf_", 20), ("r8_", 20),  # other models
    ("AIza", 30), ("ya29.", 20), ("GOCSPX-", 16),  # Google
    ("npm_", 30), ("pypi-AgE", 20), ("rubygems_", 32), ("dckr_pat_", 16), ("dckr_oat_", 16), ("cio", 32),  # registries
    ("SG.", 30), ("key-", 32), ("xkeysib-", 32), ("SK", 32),  # SendGrid, Mailgun, Brevo, Twilio
    ("dop_v1_", 32), ("doo_v1_", 32), ("dor_v1_", 32), ("HRKU-", 16), ("nfp_", 20), ("pscale_tkn_", 16), ("pscale_pw_", 16),  # platforms
    ("sbp_", 32), ("tskey-", 16), ("pul-", 32), ("dapi", 32), ("dp.pt.", 20), ("dp.st.", 20), ("hvs.", 20), ("hvb.", 20), ("hvr.", 20),
    ("shpat_", 20), ("shpss_", 20), ("shpca_", 20), ("shppa_", 20), ("sq0atp-", 16), ("sq0csp-", 16), ("EAAA", 40), ("EAACEdEose0cBA", 20),
    ("lin_api_", 20), ("ntn_", 30), ("secret_", 40), ("figd_", 20), ("PMAK-", 20), ("ATATT3x", 20), ("ATCTT3x", 20), ("CFPAT-", 20),
    ("glsa_", 20), ("glc_", 20), ("NRAK-", 16), ("NRJS-", 16), ("sntrys_", 20), ("sntryu_", 20), ("sqp_", 32), ("squ_", 32), ("sqa_", 32),
    ("CCIPAT_", 16), ("CCIPRJ_", 16), ("bkua_", 16), ("AKCp", 50), ("shippo_live_", 16), ("tfp_", 30), ("ops_eyJ", 20),
    ("AGE-SECRET-KEY-1", 30), ("rdme_", 32), ("sl.", 60), ("EZAK", 40), ("ico-", 32), ("pnu_", 30), ("FLWSECK", 20), ("duffel_live_", 16),
    ("LTAI", 16), ("AKID", 16),  # Alibaba, Tencent
)  # fmt: skip
"""What a token begins with -> how many characters follow at least. From the issuers' own pages and the rules of secret scanners."""
_TAIL = r"[A-Za-z0-9_\-]{1,8192}+(?:[.][A-Za-z0-9_\-]{1,8192}+){0,4}+"
_HEX_ONLY = frozenset({"SK", "key-", "dapi"})
"""Their first letters begin words as well; after them come 32 hexadecimal digits and nothing else."""
_HEX = r"[0-9a-f]{32}(?![A-Za-z0-9])"
_PLAIN_ONLY = words("hf_ npm_ gsk_ r8_ sqp_ squ_ sqa_ tfp_ nfp_ pnu_ rdme_ ntn_ LTAI AKID rubygems_ cio EAAA EZAK AKCp")
"""Beginnings of tokens that hold no `_` and no `-`, with which names of settings and files go on."""
_PLAIN = r"[A-Za-z0-9]{1,8192}+"
_TAILS = {prefix: _HEX if prefix in _HEX_ONLY else _PLAIN if prefix in _PLAIN_ONLY else _TAIL for prefix, _ in TOKENS}


def find_tokens(text: str, low: str) -> Iterator[Place]:
    """Places of tokens. Whatever is looked at after a first letter is not looked at again for the same row."""
    for prefix, least in TOKENS:
        at = text.find(prefix)
        while at >= 0:
            after = at + len(prefix)
            if at == 0 or not text[at - 1].isalnum():
                tail = compiled(_TAILS[prefix]).match(text, after)
                if tail is not None:
                    if tail.end() - after >= least and _mixed(tail.group()):
                        yield at, tail.end()
                    after = tail.end()
            at = text.find(prefix, after)


def _mixed(tail: str) -> bool:
    """Whether it may be random: words with hyphens, and rows of x, have no digits and one case."""
    return any("0" <= c <= "9" for c in tail) or not (tail.islower() or tail.isupper())
