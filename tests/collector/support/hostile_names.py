"""Names that a plugin may have and that mean something else to a path, a query, a file system, a table or a terminal."""

HOSTILE_NAMES = [
    "a", "a/series", "a/../b", "..", ".", "../automation", "a//b", "/a", "a/", "%2e%2e", "%2F", "a%", "50%25", "a?since=1d", "?",
    "a#b", "#", "a;b", "a&b=c", "a b", "a+b", "c:\\d\\..", "\\\\host\\share", "http://evil.example/", "//evil.example/x", "~", "-",
    "a@1", "a@1 operation=x", "ünïcødé", "日本/語", "🔌", "e\u0301", "'; drop table spans; --", '"a"', "{plugin_id}", "$a", "a\\u202eb",
    "=1+1", "<b>a</b>", "[a](b)", "a*", "[a-z]", "plugins", "query", "n" * 200,
]  # fmt: skip
"""Each is its own plugin: what is asked of one is answered of no other."""
