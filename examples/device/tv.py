"""A program on a device without a browser: it shows a code, waits, and lists films. It needs no library.

``python examples/device/tv.py [URL]``, where the URL is that of the provider.
"""

import json
import sys
import time
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

CLIENT_ID = "tv"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


def ask(url, form=None, token=None):
    """Return the members of a response, including error responses."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = Request(url, urlencode(form).encode() if form else None, headers)
    try:
        with urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except HTTPError as error:
        with error:
            return json.load(error)


def connect(server):
    """Obtain tokens with the device flow, RFC 8628 section 3."""
    metadata = ask(f"{server}/.well-known/oauth-authorization-server")
    codes = ask(metadata["device_authorization_endpoint"], {"client_id": CLIENT_ID, "scope": "films"})
    print(f"Open {codes['verification_uri']} on your phone and type {codes['user_code']}", flush=True)
    interval = codes.get("interval", 5)
    while True:
        time.sleep(interval)
        form = {"grant_type": DEVICE_CODE, "device_code": codes["device_code"], "client_id": CLIENT_ID}
        try:
            answer = ask(metadata["token_endpoint"], form)
        except (URLError, TimeoutError):
            interval *= 2  # the server may be overloaded
            continue
        error = answer.get("error")
        if error is None:
            return answer
        if error == "slow_down":
            interval += 5  # for this and all following polls
        elif error != "authorization_pending":
            sys.exit(f"Not connected: {answer.get('error_description', error)}.")


def main(server):
    tokens = connect(server)
    answer = ask(f"{server}/api/films", token=tokens["access_token"])
    print(f"Films of {answer['of']}: {', '.join(answer['films'])}")


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else "http://127.0.0.1:5000")
