"""Which version calls may go back to: one rule for functions, applications, manifests and host files."""

from __future__ import annotations

import pytest
from plugwarden import ConfigurationError
from plugwarden.way_back import Versioned, check_way_back

NEWER = Versioned("geo", "2", "find")
EARLIER = Versioned("geo", "1", "find")


def test_an_earlier_version_of_the_same_operation_is_one() -> None:
    check_way_back(NEWER, [EARLIER])
    check_way_back(NEWER, [EARLIER._replace(further=("0.9", "0.8"))])
    check_way_back(NEWER._replace(operation=None), [EARLIER._replace(operation=None)])


@pytest.mark.parametrize("closed", [True, False])
def test_what_fails_closed_may_be_gone_back_to_by_all(closed: bool) -> None:
    check_way_back(NEWER._replace(fails_closed=closed), [EARLIER._replace(fails_closed=True)])


@pytest.mark.parametrize(
    ("newer", "found", "why"),
    [
        (NEWER, [EARLIER._replace(plugin="tiles")], "tiles@1 operation=find is not an earlier version of geo@2"),
        (NEWER, [EARLIER._replace(operation="draw")], "geo@1 operation=draw is not an earlier version of geo@2"),
        (NEWER, [NEWER], "geo@2 operation=find is the version itself; give another version's"),
        (NEWER, [EARLIER, EARLIER], "geo@1 operation=find is here 2 times; give"),
        (
            NEWER,
            [EARLIER._replace(further=("0", "2"))],
            "geo@1 operation=find goes back to geo@2 operation=find itself",
        ),
        (NEWER._replace(fails_closed=True), [EARLIER], "geo@2 operation=find is of criticality security"),
        (NEWER._replace(operation=None), [NEWER._replace(operation=None)], "geo@2 is the version itself"),
    ],
)
def test_what_is_none_is_said_with_what_to_write(newer: Versioned, found: list[Versioned], why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_way_back(newer, found)
    assert str(caught.value).startswith(f"previous: {why}")
