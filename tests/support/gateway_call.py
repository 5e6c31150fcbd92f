"""One call to the gateway from inside a pod; its text is what `kubectl exec` runs there.

Reads {url, ca, method, path, token, body} as JSON from stdin; prints {status, body}.
"""

from __future__ import annotations

import json
import ssl
import sys
import urllib.error
import urllib.request
from typing import Any

SECONDS = 20


def main() -> None:
    """Call, and print the answer."""
    asked = json.load(sys.stdin)
    headers = {"Content-Type": "application/json"}
    if asked["token"]:
        headers["Authorization"] = f"Bearer {asked['token']}"
    request = urllib.request.Request(  # noqa: S310 -- the test says which URL
        asked["url"] + asked["path"],
        data=None if asked["body"] is None else json.dumps(asked["body"]).encode(),
        headers=headers,
        method=asked["method"],
    )
    context = ssl.create_default_context(cadata=asked["ca"])
    try:
        with urllib.request.urlopen(request, timeout=SECONDS, context=context) as answer:  # noqa: S310 -- as above
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    body: Any = json.loads(text) if text else None
    json.dump({"status": status, "body": body}, sys.stdout)


if __name__ == "__main__":
    main()
