import { assert } from "./assert.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import { HttpServer, type HttpServerOptions } from "../lib/http_server.ts";
import { listen } from "../lib/transport.ts";

const echo: HttpServerOptions = {
  maxBody: 1_000,
  answer: ({ method, path, body }) =>
    Promise.resolve({ status: 200, type: "text/plain", body: encodeUtf8(`${method} ${path} ${body.length}`) }),
  failed: () => {},
};

/** A server while the test goes on. */
async function withServer(
  options: Partial<HttpServerOptions>,
  test: (url: string, port: number, server: HttpServer) => Promise<void>,
) {
  const listener = listen("127.0.0.1", 0);
  const server = new HttpServer(listener, { ...echo, ...options });
  try {
    await test(`http://127.0.0.1:${listener.addr.port}`, listener.addr.port, server);
  } finally {
    await server.close();
  }
}

/** A client that sends bytes, and reads until the server closes. */
async function talk(port: number, text: string): Promise<string> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await conn.write(encodeUtf8(text));
  return await readAll(conn);
}

async function readAll(conn: Deno.Conn): Promise<string> {
  let all = "";
  const buffer = new Uint8Array(4_096);
  for (let count; (count = await conn.read(buffer).catch(() => null)) !== null;) {
    all += new TextDecoder().decode(buffer.subarray(0, count));
  }
  return all;
}

async function readSome(conn: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(4_096);
  return new TextDecoder().decode(buffer.subarray(0, await conn.read(buffer) ?? 0));
}

Deno.test("the server answers clients as they are: fetch, several requests in one connection, a HEAD", async () => {
  await withServer({}, async (url, port) => {
    const body = new Uint8Array(700);
    assert.equal(await (await fetch(`${url}/a`, { method: "POST", body })).text(), "POST /a 700");
    assert.equal(await (await fetch(`${url}/b`)).text(), "GET /b 0");
    const head = await fetch(`${url}/c`, { method: "HEAD" });
    assert.deepEqual([head.status, head.headers.get("content-length"), await head.text()], [200, "9", ""]);
    const both = await talk(port, "GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert.match(both, /GET \/1 0HTTP\/1\.1 200 OK\r\n[^]*\r\nConnection: close\r\n\r\nGET \/2 0$/);
  });
});

Deno.test("a client that waits before it sends its body is told to go on", async () => {
  await withServer({}, async (_, port) => {
    using conn = await Deno.connect({ hostname: "127.0.0.1", port });
    await conn.write(
      encodeUtf8("POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"),
    );
    assert.equal(await readSome(conn), "HTTP/1.1 100 Continue\r\n\r\n");
    await conn.write(encodeUtf8("ab"));
    assert.match(await readAll(conn), /^HTTP\/1\.1 200 OK\r\n[^]*POST \/ 2$/);
  });
});

Deno.test("a request that is too long is refused before it is sent, and what can't be read gets one sentence", async () => {
  await withServer({}, async (_, port) => {
    const long = await talk(port, "POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n");
    assert.match(long, /^HTTP\/1\.1 400 Bad Request\r\n[^]*\r\n\r\na request has 1000 bytes at most\n$/);
    // A client that sends it all the same reads the answer, too.
    const sent = await talk(port, `POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n${"x".repeat(1_001)}`);
    assert.match(sent, /a request has 1000 bytes at most\n$/);
    assert.match(await talk(port, "hello\r\n\r\n"), /^HTTP\/1\.1 400 [^]*this is no HTTP request\n$/);
  });
});

Deno.test("a request that isn't whole in time, and a connection that idles, are closed", async () => {
  await withServer({ requestTimeout: 100, idleTimeout: 100 }, async (_, port, server) => {
    using slow = await Deno.connect({ hostname: "127.0.0.1", port });
    await slow.write(encodeUtf8("POST / HTTP/1.1\r\nContent-Le"));
    using silent = await Deno.connect({ hostname: "127.0.0.1", port });
    assert.deepEqual(await Promise.all([readAll(slow), readAll(silent)]), ["", ""]);
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/`)).text(), "GET / 0");
    assert(server.size <= 1);
  });
});

Deno.test("if all places are taken, the connection that idles longest makes room; one at work doesn't", async () => {
  const held = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const answer: HttpServerOptions["answer"] = async (request) => {
    if (request.path === "/held") {
      started.resolve();
      await held.promise;
    }
    return await echo.answer(request);
  };
  await withServer({ answer, maxConnections: 2 }, async (_, port) => {
    using working = await Deno.connect({ hostname: "127.0.0.1", port });
    await working.write(encodeUtf8("GET /held HTTP/1.1\r\nConnection: close\r\n\r\n"));
    await started.promise;
    using idle = await Deno.connect({ hostname: "127.0.0.1", port });
    await idle.write(encodeUtf8("GET /first HTTP/1.1\r\n\r\n"));
    assert.match(await readSome(idle), /GET \/first 0$/);
    assert.match(await talk(port, "GET /x HTTP/1.1\r\nConnection: close\r\n\r\n"), /GET \/x 0$/);
    assert.equal(await readAll(idle), "", "it made room");
    held.resolve();
    assert.match(await readAll(working), /GET \/held 0$/);
  });
});

Deno.test("whoever holds all places with requests that never end keeps nobody out", async () => {
  await withServer({ maxConnections: 5 }, async (_, port) => {
    const slow = await Promise.all(Array.from({ length: 5 }, async () => {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port });
      await conn.write(encodeUtf8("POST / HTTP/1.1\r\nContent-Length: 900\r\n\r\nx"));
      return conn;
    }));
    assert.match(await talk(port, "GET /x HTTP/1.1\r\nConnection: close\r\n\r\n"), /GET \/x 0$/);
    for (const conn of slow) conn.close();
  });
});

Deno.test("an answer that fails is a 500, and the server goes on", async () => {
  const failures: unknown[] = [];
  const answer = () => Promise.reject(new Error("the disk is full"));
  await withServer({ answer, failed: (error) => failures.push(error) }, async (url) => {
    for (let round = 0; round < 2; round++) {
      const { status, body } = await fetch(url);
      await body?.cancel();
      assert.equal(status, 500);
    }
    assert.equal(failures.length, 2);
  });
});

Deno.test("a thousand connections that send nothing hold no more than there are places", async () => {
  await withServer({ maxConnections: 20 }, async (url, port, server) => {
    const conns = [];
    for (let i = 0; i < 1_000; i++) conns.push(await Deno.connect({ hostname: "127.0.0.1", port }));
    assert.equal(await (await fetch(url)).text(), "GET / 0");
    assert(server.size <= 20);
    for (const conn of conns) conn.close();
  });
});
