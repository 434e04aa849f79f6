"""A second reader of securechat's bundles (docs/PROTOCOL.md, "One file"), for comparison with the verifier.

    bundle_reader.py --ca CA.pem --log VKEY --witness VKEY --witness VKEY --now SECONDS FILE...

It shares no code with the verifier and stands on `cryptography` and the standard library. For each file it prints one
row of JSON: {"result": "valid" or "invalid", "failed": [names of checks], "lines": [[index, since, by], ...]}. Times are
in unix milliseconds, by all of the witnesses that were named; null if they don't say. It covers rooms whose
certificates come straight from the CA. Time-stamp tokens, renewals, searches and the rights of members are left to
the verifier.
"""

import argparse
import base64
import hashlib
import json
import re
import struct
import sys

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding

ORDER = [
    r"README\.txt", r"receipt\.json", r"transcript\.txt", r"openings\.txt", r"log\.json",
    r"notes/([1-9][0-9]*)\.note", r"tokens/([1-9][0-9]*)\.([1-9])\.tst", r"tsa\.pem", r"ca\.pem", r"crl\.pem",
    r"ticks\.bin",
]


class Wrong(Exception):
    """A check that fails; its name is the argument."""


def need(check, holds):
    if not holds:
        raise Wrong(check)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def b64(text, check):
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise Wrong(check) from None
    need(check, base64.b64encode(data).decode() == text)
    return data


def once(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("a name stands twice")
    return dict(pairs)


def read_json(data, check):
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise Wrong(check) from None


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


# ---- the file


def header(name, size):
    fields = [
        (name, 100), (b"0000644", 8), (b"0000000", 8), (b"0000000", 8), (b"%011o" % size, 12), (b"0" * 11, 12),
        (b" " * 8, 8), (b"0", 1), (b"", 100), (b"ustar\x0000", 8), (b"", 32), (b"", 32), (b"0000000", 8),
        (b"0000000", 8), (b"", 155), (b"", 12),
    ]
    block = b"".join(value.ljust(width, b"\0") for value, width in fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def place(name):
    for at, form in enumerate(ORDER):
        match = re.fullmatch(form, name)
        if match:
            return (at, *map(int, match.groups()))
    raise Wrong("bundle")


def read_members(data):
    members, at, last = {}, 0, (-1,)
    while data[at : at + 512] != bytes(512):
        block = data[at : at + 512]
        need("bundle", len(block) == 512 and re.fullmatch(rb"[0-7]{11}\0", block[124:136]) is not None)
        name, size = block[:100].rstrip(b"\0"), int(block[124:135], 8)
        need("bundle", block == header(name, size) and re.fullmatch(rb"[!-~]+", name) is not None)
        here = place(name.decode())
        need("bundle", last < here)
        last, end = here, at + 512 + size
        padded = end + -size % 512
        need("bundle", len(data) >= padded and not any(data[end:padded]))
        members[name.decode()], at = data[at + 512 : end], padded
    need("bundle", data[at:] == bytes(1024))
    need("bundle", list(members)[:2] == ["README.txt", "receipt.json"])
    need("bundle", members["README.txt"].startswith(b"securechat evidence 1\n"))
    need("bundle", sha256(members["README.txt"]).hex() == README_HASH)
    return members


README_HASH = "f7d7decc2c46ebe34581f68ee100162f0bb95dde53e30f73204066f38d1cfec9"

# ---- trees (RFC 6962)


def leaf(data):
    return sha256(b"\0", data)


def node(left, right):
    return sha256(b"\1", left, right)


def split(width):
    return 1 << ((width - 1).bit_length() - 1)


def root_by_path(hash_, index, size, path, check):
    need(check, 0 <= index < size)
    turns = []
    while size > 1:
        middle = split(size)
        turns.append(index >= middle)
        index, size = (index - middle, size - middle) if index >= middle else (index, middle)
    need(check, len(turns) == len(path))
    for is_right, other in zip(reversed(turns), path):
        hash_ = node(other, hash_) if is_right else node(hash_, other)
    return hash_


def root_of_range(leaves, first, size, before, after):
    before, after, end = iter(before), iter(after), first + len(leaves)

    def over(low, high):
        if high <= first:
            return next(before)
        if low >= end:
            return next(after)
        if high - low == 1:
            return leaves[low - first]
        middle = low + split(high - low)
        left = over(low, middle)
        return node(left, over(middle, high))

    try:
        root = over(0, size)
    except StopIteration:
        raise Wrong("proof") from None
    need("proof", next(before, None) is None and next(after, None) is None)
    return root


# ---- certificates


class Certificates:
    def __init__(self, pems, ca):
        self.ca = ca
        self.known = {}
        for pem in pems:
            try:
                chain = x509.load_pem_x509_certificates(pem)
                for cert in chain:
                    spelled = cert.public_bytes(serialization.Encoding.PEM)
                    need("certs", spelled.replace(b"\n", b"") in pem.replace(b"\n", b"").replace(b"\r", b""))
            except ValueError:
                raise Wrong("certs") from None
            self.known[chain[0].fingerprint(hashes.SHA256()).hex()] = chain[0]

    def get(self, fingerprint, seconds, check):
        cert = self.known.get(fingerprint)
        need(check, cert is not None)
        try:
            cert.verify_directly_issued_by(self.ca)
        except (ValueError, TypeError, InvalidSignature):
            raise Wrong(check) from None
        begin, end = cert.not_valid_before_utc.timestamp(), cert.not_valid_after_utc.timestamp()
        need(check, begin <= seconds <= end)
        return cert

    def verify(self, fingerprint, seconds, signature, data, check):
        cert = self.get(fingerprint, seconds, check)
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
        try:
            cert.public_key().verify(signature, data, pss, hashes.SHA256())
        except InvalidSignature:
            raise Wrong(check) from None
        return cert


def is_for(cert, server):
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return server.lower() in [name.lower() for name in names.get_values_for_type(x509.DNSName)]


# ---- the room

LINE = re.compile(r"(0|[1-9][0-9]{0,15})\|(0|[1-9][0-9]{0,15})\|([A-Za-z0-9+/=]+)\|([A-Za-z0-9+/=]+)\|([0-9a-f]{64})")


def head_text(head, origin):
    root = base64.b64encode(bytes.fromhex(head["root"])).decode()
    return f"time {head['time']}\n{origin}\n{head['size']}\n{root}\n".encode()


class Room:
    def __init__(self, members, ca):
        self.receipt = receipt = read_json(members["receipt.json"], "receipt")
        for name in ("origin", "room", "checkpoint", "proof", "certs", "signer_cert", "from_index", "message_count"):
            need("receipt", name in receipt)
        self.origin = receipt["origin"]
        need("receipt", receipt["type"] == "room_receipt")
        need("receipt", re.fullmatch(r"[A-Za-z0-9.-]+/[^/]+/[0-9a-f]{32}", self.origin) is not None)
        self.server, room, _ = self.origin.split("/")
        need("receipt", receipt["room"] == room)
        pems = [b64(pem, "certs") for pem in [*receipt["certs"], receipt["signer_cert"]]]
        self.certificates = Certificates(pems, ca)
        self.checkpoints = [*receipt.get("checkpoints", []), receipt["checkpoint"]]
        self.check_statement()
        for checkpoint in self.checkpoints:
            self.check_checkpoint(checkpoint)
        self.check_lines(members.get("transcript.txt", b""))
        self.check_openings(members.get("openings.txt", b""))

    def check_statement(self):
        stated = {name: value for name, value in self.receipt.items() if name != "statement_signature"}
        signature = b64(self.receipt.get("statement_signature"), "statement")
        data = b"securechat/2 receipt\0" + canonical(stated)
        time = self.receipt["checkpoint"]["time"]
        self.certificates.verify(self.receipt["peer_cert_fingerprint"], time, signature, data, "statement")

    def check_checkpoint(self, checkpoint):
        need("checkpoint", re.fullmatch("[0-9a-f]{64}", checkpoint["root"]) is not None)
        signature = b64(checkpoint["sig"], "checkpoint")
        data = b"securechat/2 checkpoint\0" + head_text(checkpoint, self.origin)
        time = checkpoint["time"]
        cert = self.certificates.verify(checkpoint["from"], time, signature, data, "checkpoint")
        need("checkpoint", is_for(cert, self.server))

    def check_lines(self, transcript):
        need("lines", transcript.endswith(b"\n") and transcript.isascii())
        rows = transcript.decode().split("\n")[:-1]
        self.first, size = self.receipt["from_index"], self.receipt["checkpoint"]["size"]
        need("lines", len(rows) == self.receipt["message_count"] and self.first + len(rows) <= size)
        log = sha256(b"securechat/2 line\0", self.origin.encode())
        self.words, last = [], {}
        for row in rows:
            match = LINE.fullmatch(row)
            need("lines", match is not None)
            seqno, ts = int(match[1]), int(match[2])
            body, signature = b64(match[3], "lines"), b64(match[4], "lines")
            need("lines", len(body) == 96 and body[:32] == log)
            data = struct.pack(">QQ", seqno, ts) + body
            self.certificates.verify(match[5], self.receipt["checkpoint"]["time"], signature, data, "lines")
            need("lines", match[5] not in last or last[match[5]] < seqno)
            last[match[5]] = seqno
            self.words.append(body[32:64])
        proof = self.receipt["proof"]
        before, after = ([b64(each, "proof") for each in proof[name]] for name in ("before", "after"))
        root = root_of_range([leaf(row.encode()) for row in rows], self.first, size, before, after)
        need("proof", root.hex() == self.receipt["checkpoint"]["root"])

    def check_openings(self, openings):
        self.envelopes = {}
        need("openings", openings == b"" or openings.endswith(b"\n"))
        for row in openings.split(b"\n")[:-1]:
            match = re.fullmatch(rb"(0|[1-9][0-9]{0,15})\t([A-Za-z0-9+/=]+)", row)
            need("openings", match is not None)
            index, envelope = int(match[1]), b64(match[2].decode(), "openings")
            need("openings", self.first <= index < self.first + len(self.words))
            need("openings", sha256(envelope) == self.words[index - self.first])
            need("openings", not self.envelopes or index > max(self.envelopes))
            self.envelopes[index] = read_json(envelope, "openings")


# ---- the server's log


class Key:
    def __init__(self, vkey):
        self.name, id_, key = vkey.split("+", 2)
        self.vkey, data = vkey, base64.b64decode(key)
        self.type, self.id = data[0], bytes.fromhex(id_)
        assert sha256(self.name.encode(), b"\n", data)[:4] == self.id
        self.public = ed25519.Ed25519PublicKey.from_public_bytes(data[1:])

    def signed(self, data, signature):
        try:
            self.public.verify(signature, data)
        except InvalidSignature:
            raise Wrong("note") from None


class Note:
    def __init__(self, data, key, witnesses, now):
        try:
            text, _, rest = data.decode("utf-8").rpartition("\n\n")
        except UnicodeDecodeError:
            raise Wrong("note") from None
        need("note", rest.endswith("\n") and not re.search(r"[\x00-\x09\x0b-\x1f]", text + rest))
        text += "\n"
        lines = [re.fullmatch(r"— ([^ +]+) ([A-Za-z0-9+/=]+)", line) for line in rest.split("\n")[:-1]]
        need("note", all(lines))
        signatures = [(line[1], b64(line[2], "note")) for line in lines]
        rows = text.split("\n")
        need("note", len(rows) == 4 and rows[0] == key.name and re.fullmatch("[1-9][0-9]*", rows[1]) is not None)
        self.size, self.root = int(rows[1]), b64(rows[2], "note")
        need("note", (signatures[0][0], signatures[0][1][:4]) == (key.name, key.id))
        key.signed(text.encode(), signatures[0][1][4:])
        self.times = []
        for witness in witnesses:
            found = [sig for name, sig in signatures if (name, sig[:4]) == (witness.name, witness.id)]
            if not found:
                continue
            need("note", len(found[0]) == 4 + 8 + 64)
            time = int.from_bytes(found[0][4:12], "big")
            witness.signed(f"cosignature/v1\ntime {time}\n".encode() + text.encode(), found[0][12:])
            if time <= now + 300:
                self.times.append(time)
        is_enough = bool(witnesses) and len(self.times) == len(witnesses)
        self.by = 1000 * max(self.times) if is_enough else None
        self.since = 1000 * min(self.times) if is_enough else None


class Log:
    def __init__(self, members, room, ca, whom, now):
        self.members, self.room, self.whom, self.now = members, room, whom, now
        self.evidence = evidence = read_json(members["log.json"], "log form")
        need("log form", evidence.get("type") == "log_evidence" and evidence.get("v") == 1)
        need("log form", 1 <= len(evidence["heads"]) <= 1000 and len(evidence["after"]) <= 10_000)
        self.charter = evidence["charter"]
        self.check_charter(ca)
        self.notes = {}
        self.check_files()
        ticks = [head["tick"] for head in evidence["heads"]]
        need("log form", ticks == sorted(set(ticks)))
        self.bounds = [self.check_head(head) for head in evidence["heads"]]
        order = [(each["size"], each["tick"], each["file"]) for each in evidence["after"]]
        need("log form", order == sorted(set(order)))
        self.since = {}
        for each in evidence["after"]:
            self.check_after(each)

    def check_charter(self, ca):
        charter = self.charter
        stated = {name: value for name, value in charter.items() if name != "sig"}
        need("charter", charter["type"] == "log_charter" and charter["v"] == 1)
        certificates = Certificates([b64(pem, "charter") for pem in self.evidence["certs"]], ca)
        data = b"securechat/2 log\0" + canonical(stated)
        signature, time = b64(charter["sig"], "charter"), charter["time"]
        cert = certificates.verify(charter["from"], time, signature, data, "charter")
        server = self.room.server
        need("charter", is_for(cert, server) and charter["vkey"].lower().startswith(f"{server.lower()}/log/"))
        need("log key", charter["vkey"] == self.whom["log"].vkey)

    def check_files(self):
        named = [f"notes/{note['size']}.note" for head in self.evidence["heads"] for note in head["notes"]]
        named += [each["file"] for each in self.evidence["after"] if each["file"].startswith("notes/")]
        shown = [name for name in self.members if name.startswith("notes/")]
        need("log form", set(named) == set(shown))
        for name in shown:
            note = Note(self.members[name], self.whom["log"], self.whom["witnesses"], self.now)
            need("note", name == f"notes/{note.size}.note")
            self.notes[note.size] = note

    def tick(self, data, index):
        tick = read_json(data, "head")
        need("head", canonical(tick) == data and tick.get("v") == 1 and len(data) <= 8192)
        expected = sha256(canonical(self.charter)).hex() if index == 0 else None
        need("charter", tick.get("charter") == expected)
        return tick

    def check_head(self, head):
        shown = [(each["time"], each["size"], each["root"]) for each in self.room.checkpoints]
        need("head", (head["time"], head["size"], head["root"]) in shown)
        index, data, tags = head["tick"], b64(head["leaf"], "head"), b64(head["tags"], "head")
        heads = self.tick(data, index)["heads"]
        each = [tags[at : at + 8] for at in range(0, len(tags), 8)]
        need("head", len(tags) == 8 * heads["count"] and sha256(tags).hex() == heads["tags"])
        need("head", each == sorted(set(each)))
        tag = sha256(b"securechat/2 tag\0", self.room.origin.encode(), b"\0", index.to_bytes(8, "big"))[:8]
        need("head", tag in each)
        hash_ = leaf(sha256(b"securechat/2 head\0", head_text(head, self.room.origin)))
        path = [b64(step, "head") for step in head["hashes"]]
        root = root_by_path(hash_, each.index(tag), heads["count"], path, "head")
        need("head", root.hex() == heads["hashes"])
        by = []
        need("log form", 1 <= len(head["notes"]) <= 4)
        for shown_note in head["notes"]:
            note = self.notes[shown_note["size"]]
            path = [b64(step, "head") for step in shown_note["path"]]
            need("head", root_by_path(leaf(data), index, note.size, path, "head") == note.root)
            if note.by is not None:
                by.append(note.by)
        return head["size"], min(by, default=None)

    def check_after(self, after):
        data = b64(after["leaf"], "after")
        path = [b64(step, "after") for step in after["path"]]
        root = root_by_path(leaf(data), after["tick"], after["size"], path, "after")
        need("after", root.hex() == after["root"])
        tick = self.tick(data, after["tick"])
        if not after["file"].startswith("notes/"):
            return
        need("after", tick.get("note") == sha256(self.members[after["file"]]).hex())
        since = self.notes[int(re.findall("[0-9]+", after["file"])[0])].since
        key = (after["size"], after["root"])
        if since is not None:
            self.since[key] = max(since, self.since.get(key, 0))

    def lines(self):
        roots = {note.size: note.root.hex() for note in self.notes.values()}
        found, result = {}, []
        for index, envelope in sorted(self.room.envelopes.items()):
            times = [since for other, since in found.items() if other < envelope["seen"]["size"]]
            pin = envelope.get("log")
            if pin:
                is_known = self.charter["vkey"].split("+")[0].endswith("/" + pin["id"])
                need("log key", is_known and roots.setdefault(pin["size"], pin["root"]) == pin["root"])
                times.append(self.since.get((pin["size"], pin["root"]), 0))
            since = max(times, default=0) or None
            if since is not None:
                found[index] = since
                self.check_time(index, since)
            by = min((by for size, by in self.bounds if size > index and by is not None), default=None)
            result.append([index, since, by])
        return result

    def check_time(self, index, since):
        for checkpoint in self.room.checkpoints:
            if checkpoint["size"] > index:
                need("time", 1000 * (checkpoint["time"] + 300) >= since)


# ---- the verdict


def judge(path, ca, whom, now):
    try:
        with open(path, "rb") as file:
            members = read_members(file.read())
        room = Room(members, ca)
        lines = []
        if "log.json" in members:
            lines = Log(members, room, ca, whom, now).lines()
        else:
            need("bundle", not any("/" in name for name in members))
        return {"result": "valid", "failed": [], "lines": lines}
    except Wrong as wrong:
        return {"result": "invalid", "failed": [wrong.args[0]], "lines": []}
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError):
        return {"result": "invalid", "failed": ["form"], "lines": []}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ca", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--witness", action="append", default=[])
    parser.add_argument("--now", type=int, required=True)
    parser.add_argument("files", nargs="+")
    given = parser.parse_args()
    with open(given.ca, "rb") as file:
        ca = x509.load_pem_x509_certificate(file.read())
    whom = {"log": Key(given.log), "witnesses": [Key(vkey) for vkey in given.witness]}
    for path in given.files:
        print(json.dumps(judge(path, ca, whom, given.now)))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
