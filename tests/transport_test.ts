import { assert } from "./assert.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import { connect, Link, listen } from "../lib/transport.ts";

/** Both ends of a connection on the loopback. */
async function withLinks(test: (near: Link, far: Deno.TcpConn) => Promise<void>, maxQueued = 1 << 20): Promise<void> {
  const listener = listen("127.0.0.1", 0);
  const accepted = listener.accept();
  const near = await connect("127.0.0.1", listener.addr.port, { timeout: 5_000, maxQueued });
  const far = await accepted;
  try {
    await test(near, far);
  } finally {
    near.close();
    try {
      far.close();
    } catch {
      // The test has closed it.
    }
    listener.close();
  }
}

Deno.test("Link.send() keeps the order of what is sent, however much is queued", async () => {
  await withLinks(async (near, far) => {
    const received: number[] = [];
    for (let i = 0; i < 200; i++) near.send(new Uint8Array(1_000).fill(i));
    const ended = near.end();
    const buffer = new Uint8Array(65_536);
    for (let size = await far.read(buffer); size !== null; size = await far.read(buffer)) {
      received.push(...buffer.subarray(0, size));
    }
    far.close();
    await ended;
    assert.equal(received.length, 200_000);
    assert.ok(received.every((byte, i) => byte === Math.floor(i / 1_000)));
  });
});

Deno.test("a link whose peer doesn't read is closed when more is queued than its bound", async () => {
  await withLinks(async (near) => {
    let sent = 0;
    const over = near.read(); // ends when the link is closed
    let isOver = false;
    void over.then(() => isOver = true);
    while (!isOver && sent < 64 << 20) {
      near.send(new Uint8Array(65_536));
      sent += 65_536;
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    assert.equal(await over, undefined);
    assert.ok(sent < 64 << 20, "64 MiB were queued for a peer that doesn't read");
  }, 262_144);
});

Deno.test("Link.finish() sends what is queued, reads what still comes, and is bounded in time", async () => {
  await withLinks(async (near, far) => {
    near.send(new TextEncoder().encode("last words"));
    const finished = near.finish(); // the far side never closes
    const buffer = new Uint8Array(100);
    assert.equal(await far.read(buffer), 10);
    await finished;
  });
});

Deno.test("Link.read() ends where the peer closes or resets", async () => {
  await withLinks(async (near, far) => {
    await far.write(new Uint8Array([1, 2, 3]));
    assert.equal((await near.read())?.length, 3);
    far.close();
    assert.equal(await near.read(), undefined);
    near.send(new Uint8Array(10));
    assert.equal(await near.read(), undefined);
  });
});

Deno.test("listen() on a port that is in use, and connect() to one where nothing listens, say what to do", async () => {
  const listener = listen("127.0.0.1", 0);
  const { port } = listener.addr;
  assert.throws(
    () => listen("127.0.0.1", port),
    (error) => error instanceof Failure && error.status === EXIT.unavailable && /in use.*--port/.test(error.message),
  );
  listener.close();
  await assert.rejects(
    connect("127.0.0.1", port, { timeout: 2_000, maxQueued: 1 }),
    (error) =>
      error instanceof Failure && error.status === EXIT.unavailable && /nothing listens there/.test(error.message),
  );
});

Deno.test("Link.read() gives everything in its order, whether little comes at once or much", async () => {
  await withLinks(async (near, far) => {
    const sent = new Uint8Array(300_000).map((_, i) => i % 251);
    const writing = (async () => {
      const sizes = [10, 2_048, 50_000, 1, 100_000, 2_047, 20];
      for (let at = 0, turn = 0; at < sent.length; turn++) {
        const end = Math.min(sent.length, at + (sizes[turn % sizes.length] ?? 1));
        while (at < end) at += await far.write(sent.subarray(at, end));
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
      far.close();
    })();
    let [at, most] = [0, 0];
    for (let chunk = await near.read(); chunk; chunk = await near.read()) {
      assert.deepEqual(chunk, sent.subarray(at, at + chunk.length));
      at += chunk.length;
      most = Math.max(most, chunk.length);
    }
    await writing;
    assert.equal(at, sent.length);
    assert(most > 2_048, "who has much to say is read in large pieces");
  });
});

Deno.test("Link.drained() resolves when what was queued is written, and when the link is closed", async () => {
  await withLinks(async (near, far) => {
    await near.drained();
    near.send(new Uint8Array(8 << 20));
    let isDrained = false;
    const drained = near.drained().then(() => isDrained = true);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert(!isDrained, "the peer hasn't read it");
    const buffer = new Uint8Array(1 << 20);
    for (let read = 0; read < 8 << 20;) read += await far.read(buffer) ?? 0;
    await drained;
    near.send(new Uint8Array(8 << 20));
    const closed = near.drained();
    near.close();
    await closed;
  }, 16 << 20);
});
