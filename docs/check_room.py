#!/usr/bin/env python3
"""Checks what is shown of a securechat room, with Python's standard library and the openssl command alone.

    python3 check_room.py FOLDER

FOLDER holds receipt.json, transcript.txt, ca.pem and, if the words are shown, openings.txt. This program is short so that
it can be read; docs/EVIDENCE.md explains each step. It makes the checks that carry the proof. `securechat verify` makes
more of them (form, times, revocation, roles). Exit status: 0 if all of them hold, 1 if one doesn't.
"""
import base64
import hashlib
import json
import subprocess
import sys
import tempfile
from datetime import datetime, timezone

FOLDER = sys.argv[1]
SCRATCH = tempfile.mkdtemp()


def sha256(data):
    return hashlib.sha256(data).digest()


def openssl(*args, data=b""):
    """The output of an openssl command, and whether it succeeded."""
    ended = subprocess.run(["openssl", *args], input=data, capture_output=True)
    return ended.stdout, ended.returncode == 0


def keep(name, data):
    with open(f"{SCRATCH}/{name}", "wb") as file:
        file.write(data)
    return f"{SCRATCH}/{name}"


def say(what, text, holds):
    print(f"{'ok   ' if holds else 'WRONG'} {what}: {text}")
    return holds


def is_signed(fingerprint, signature, text):
    """Whether a certificate's key signed a text: RSA-PSS, SHA-256, the longest salt."""
    certificate = keep("signer.pem", CERTIFICATES[fingerprint])
    key = keep("key.pem", openssl("x509", "-in", certificate, "-noout", "-pubkey")[0])
    options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:max"]
    return openssl("dgst", "-sha256", "-verify", key, *options, "-signature", keep("sig", signature), data=text)[1]


def subject(fingerprint):
    text = openssl("x509", "-noout", "-subject", data=CERTIFICATES[fingerprint])[0].decode().strip()
    return text.removeprefix("subject=")


def leads_to_ca(fingerprint, time, host=None):
    """Whether a certificate leads to the CA, was valid at that time (unix seconds), and names that host."""
    certificate = keep("one.pem", CERTIFICATES[fingerprint])
    ca = ["-CAfile", f"{FOLDER}/ca.pem", "-untrusted", certificate]
    name = ["-verify_hostname", host] if host else []
    return openssl("verify", *ca, *name, "-attime", str(time), certificate)[1]


def node(left, right):
    return sha256(b"\x01" + left + right)


def root_of(start, end):
    """The root of the tree over the leaves from start to end (RFC 6962, section 2.1), out of what is shown."""
    if (start, end) in KNOWN:
        return KNOWN[start, end]
    if end - start == 1 or end <= FIRST or start >= LAST:
        raise ValueError("a hash of the proof is missing")
    size = 1
    while size * 2 < end - start:
        size *= 2
    return node(root_of(start, start + size), root_of(start + size, end))


def outside(start, end):
    """The largest subtrees that lie wholly before the first line or after the last, from left to right."""
    if end <= FIRST or start >= LAST:
        return [(start, end)]
    if start >= FIRST and end <= LAST:
        return []
    size = 1
    while size * 2 < end - start:
        size *= 2
    return outside(start, start + size) + outside(start + size, end)


with open(f"{FOLDER}/receipt.json", "rb") as file:
    RECEIPT = json.load(file)
with open(f"{FOLDER}/transcript.txt", "rb") as file:
    LINES = file.read().split(b"\n")[:-1]

# 1. The certificates in the receipt, each with its intermediates, by its fingerprint: SHA-256 of its DER.
CERTIFICATES = {}
for encoded in [RECEIPT["signer_cert"], *RECEIPT["certs"]]:
    pem = base64.b64decode(encoded)
    CERTIFICATES[sha256(openssl("x509", "-outform", "der", data=pem)[0]).hex()] = pem

# 2. The checkpoints: the server's signature over time, origin, size and root.
CHECKPOINTS = [*RECEIPT.get("checkpoints", []), RECEIPT["checkpoint"]]
SERVER = RECEIPT["origin"].split("/")[0]
good = True
for head in CHECKPOINTS:
    root = base64.b64encode(bytes.fromhex(head["root"])).decode()
    text = f"time {head['time']}\n{RECEIPT['origin']}\n{head['size']}\n{root}\n"
    signed = is_signed(head["from"], base64.b64decode(head["sig"]), b"securechat/2 checkpoint\0" + text.encode())
    signed = signed and leads_to_ca(head["from"], head["time"], SERVER)
    time = datetime.fromtimestamp(head["time"], timezone.utc).isoformat()
    good &= say("checkpoint", f"{head['size']} lines at {time}, signed for {SERVER}", signed)

# 3. The log: the hashes of the lines, with those of the proof, give the root that was signed.
FIRST, LAST = RECEIPT["from_index"], RECEIPT["from_index"] + len(LINES)
KNOWN = {(FIRST + at, FIRST + at + 1): sha256(b"\x00" + line) for at, line in enumerate(LINES)}
PLACES = outside(0, head["size"])
PROOF = [base64.b64decode(one) for one in RECEIPT["proof"]["before"] + RECEIPT["proof"]["after"]]
KNOWN.update(zip(PLACES, PROOF))
try:
    same = root_of(0, head["size"]).hex() == head["root"]
except ValueError:
    same = False
same = same and len(PLACES) == len(PROOF) and len(LINES) == RECEIPT["message_count"]
good &= say("log", f"lines {FIRST} to {LAST - 1} give the root that was signed", same)

# 4. Each line: of this log (R), signed by its author, whose certificate leads to the CA.
LOG = sha256(b"securechat/2 line\0" + RECEIPT["origin"].encode())
NEXT = {}
for index, line in enumerate(LINES, FIRST):
    seqno, ts, hashes, signature, author = line.decode().split("|")
    hashes = base64.b64decode(hashes)
    text = int(seqno).to_bytes(8, "big") + int(ts).to_bytes(8, "big") + hashes
    accepted = next(one["time"] for one in CHECKPOINTS if one["size"] > index)
    right = author in CERTIFICATES and hashes[:32] == LOG and len(hashes) == 96
    right = right and is_signed(author, base64.b64decode(signature), text) and leads_to_ca(author, accepted)
    right = right and NEXT.get(author, int(seqno)) == int(seqno)
    NEXT[author] = int(seqno) + 1
    who = subject(author) if author in CERTIFICATES else author
    good &= say(f"line {index}", f"signed by {who}, their line {seqno}", right)

# 5. The words: each opening hashes to C of its line.
try:
    with open(f"{FOLDER}/openings.txt", "rb") as file:
        OPENINGS = file.read().splitlines()
except FileNotFoundError:
    OPENINGS = []
for row in OPENINGS:
    index, envelope = row.split(b"\t")
    envelope = base64.b64decode(envelope)
    hashes = base64.b64decode(LINES[int(index) - FIRST].split(b"|")[2])
    says = json.loads(envelope)
    right = sha256(envelope) == hashes[32:64]
    good &= say(f"words of {index.decode()}", f"{says['kind']} {json.dumps(says['body'], ensure_ascii=False)}", right)

print("All of this holds." if good else "Something of this doesn't hold.")
sys.exit(0 if good else 1)
