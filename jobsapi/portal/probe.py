"""``python -m jobsapi.portal.probe URL``: ends well if and only if the address answers 200. For health checks.

It goes straight there whatever proxies the environment names, and needs no Django.
"""

from __future__ import annotations

import sys
import urllib.request

TIMEOUT = 3.0
"""Seconds for each step of the exchange."""


def main(url: str) -> int:
    """The exit status: 0 for an answer of 200; otherwise 1, with the reason on standard error."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT) as answer:
            if answer.status == 200:
                return 0
            print(f"{url}: {answer.status}", file=sys.stderr)
    except (OSError, ValueError) as error:  # urllib's own errors are OSErrors
        print(f"{url}: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
