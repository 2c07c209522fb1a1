"""Puts every file below a folder into the container `mail` of an Azurite on this machine.

usage: put_blobs.py PORT ACCOUNT_KEY FOLDER
"""

import base64
import email.utils
import hashlib
import hmac
import http.client
import os
import sys
import urllib.parse

ACCOUNT = "devstoreaccount1"
port, key, folder = sys.argv[1:]


def put(path, query, body, headers):
    headers |= {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    names = sorted(name for name in headers if name.startswith("x-ms-"))
    resource = f"/{ACCOUNT}/{ACCOUNT}/{path}" + "".join(f"\n{name}:{value}" for name, value in sorted(query.items()))
    length = str(len(body)) if body else ""
    to_sign = "\n".join(
        ["PUT", "", "", length, "", "", "", "", "", "", "", ""] + [f"{name}:{headers[name]}" for name in names] + [resource]
    )
    signature = base64.b64encode(hmac.new(base64.b64decode(key), to_sign.encode(), hashlib.sha256).digest()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", int(port))
    address = f"/{ACCOUNT}/{path}" + ("?" + urllib.parse.urlencode(query) if query else "")
    connection.request("PUT", address, body, headers | {"Authorization": f"SharedKey {ACCOUNT}:{signature}"})
    answer = connection.getresponse()
    assert answer.status == 201, (answer.status, answer.read())


put("mail", {"restype": "container"}, b"", {})
for root, _, files in os.walk(folder):
    for name in files:
        path = os.path.join(root, name)
        with open(path, "rb") as file:
            blob = urllib.parse.quote(os.path.relpath(path, folder))
            put(f"mail/{blob}", {}, file.read(), {"x-ms-blob-type": "BlockBlob"})
