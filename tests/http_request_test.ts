import fc from "fast-check";
import { assert } from "./assert.ts";
import { encodeUtf8, parseUtf8 } from "../lib/bytes.ts";
import { BadRequest, type HttpRequest, RequestReader } from "../lib/http_request.ts";

const POST = "POST /add-checkpoint HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";

function read(text: string, maxBody = 100): HttpRequest | undefined | number {
  const reader = new RequestReader({ maxBody });
  try {
    reader.push(encodeUtf8(text));
    return reader.next();
  } catch (error) {
    assert(error instanceof BadRequest);
    return error.status;
  }
}

Deno.test("requests are read one after the other, in whatever pieces they come", () => {
  const all = encodeUtf8(`${POST}GET /x?y HTTP/1.1\r\n\r\n${POST.replace("HTTP/1.1", "HTTP/1.0")}`);
  fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (sizes) => {
    const reader = new RequestReader({ maxBody: 5 });
    const found: string[] = [];
    for (let at = 0, turn = 0; at < all.length; turn++) {
      const size = sizes[turn % sizes.length] ?? 1;
      reader.push(all.subarray(at, at + size));
      at += size;
      for (let request; (request = reader.next());) {
        found.push(`${request.method} ${request.path} ${parseUtf8(request.body)} ${request.isLast}`);
      }
    }
    assert.deepEqual(found, [
      "POST /add-checkpoint hello false",
      "GET /x?y  false",
      "POST /add-checkpoint hello true",
    ]);
    assert.equal(reader.isAmid, false);
  }));
});

Deno.test("a connection ends when the client says so", () => {
  const last = (fields: string, version = "1.1") => {
    const request = read(`GET / HTTP/${version}\r\n${fields}\r\n`);
    return typeof request === "object" && request.isLast;
  };
  assert.deepEqual([last(""), last("Connection: close\r\n"), last("Connection: Upgrade, Close\r\n")], [
    false,
    true,
    true,
  ]);
  assert.deepEqual([last("", "1.0"), last("Connection: keep-alive\r\n", "1.0")], [true, false]);
});

Deno.test("a client that waits for it is told to go on, once", () => {
  const reader = new RequestReader({ maxBody: 100 });
  reader.push(encodeUtf8(POST.replace("Host: a", "Expect: 100-continue").replace("hello", "")));
  assert.equal(reader.next(), undefined);
  assert.deepEqual([reader.takeContinue(), reader.takeContinue()], [true, false]);
  reader.push(encodeUtf8("hello"));
  assert.equal(reader.next()?.body.length, 5);
  assert.equal(reader.takeContinue(), false);
});

Deno.test("what isn't a request, or could be read in two ways, is refused", () => {
  const cases: Readonly<Record<string, number>> = {
    "hello\r\n\r\n": 400,
    "GET http://a/ HTTP/1.1\r\n\r\n": 400,
    "GET /a b HTTP/1.1\r\n\r\n": 400,
    "GET / HTTP/2.0\r\n\r\n": 505,
    "\u0016\u0003\u0001 a TLS hello\r\n\r\n": 400,
    [POST.replace("Content-Length: 5", "Content-Length: +5")]: 400,
    [POST.replace("Content-Length: 5", "Content-Length: 5, 5")]: 400,
    [POST.replace("Host: a", "Content-Length: 6")]: 400,
    [POST.replace("Host: a", "Transfer-Encoding: chunked")]: 411,
    [POST.replace("Content-Length: 5\r\n", "")]: 411,
    [POST.replace("Content-Length: 5", "Content-Length : 5")]: 400,
    [POST.replace("Host: a", " folded")]: 400,
    [POST.replace("Host: a", "Host: a\nb")]: 400,
    [POST.replace("Content-Length: 5", "Content-Length: 101")]: 413,
    [`GET / HTTP/1.1\r\n${"a: b\r\n".repeat(101)}\r\n`]: 431,
    [`GET / HTTP/1.1\r\na: ${"b".repeat(9_000)}`]: 431,
    [`GET /${"a".repeat(3_000)} HTTP/1.1\r\n\r\n`]: 400,
  };
  for (const [text, status] of Object.entries(cases)) {
    assert.equal(read(text), status, JSON.stringify(text.slice(0, 80)));
  }
});

Deno.test("no bytes make the reader throw anything else, or keep more than its bounds", () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 30 }), (chunks) => {
    const reader = new RequestReader({ maxBody: 100 });
    try {
      for (const chunk of chunks) {
        reader.push(chunk);
        while (reader.next());
      }
    } catch (error) {
      assert(error instanceof BadRequest);
    }
  }));
});
