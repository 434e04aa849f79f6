/** Asking authorities over HTTP: one that answers well, and everything else that an address may answer. */

import { type Bytes, encodeUtf8 } from "../lib/bytes.ts";
import { DerFields, encodeDer, parseDer, TAG } from "../lib/der.ts";
import { digest } from "../lib/hash.ts";
import { stamp, type Stamped, type StampOptions } from "../lib/timestamp_asking.ts";
import { isServiceUrl } from "../lib/urls.ts";
import { imprintOf } from "../lib/timestamp_judge.ts";
import { parseCertificateFile } from "../lib/x509.ts";
import { assert } from "./assert.ts";
import { skipUnless, temporaryFolder } from "./environment.ts";
import { opensslVerifies, startAuthority } from "./timestamp_authority.ts";
import { ascii, makeCertificate, makeKey, makeReply, makeToken, sequence } from "./timestamp_writer.ts";

const NOTE = encodeUtf8("chat.example/log/8f14e45fceea167a5a36dedd4bea2543\n2\n");
const NOW = Date.parse("2026-11-29T12:00:30Z");

type Handler = (request: Request) => Response | Promise<Response>;

/** A server on the loopback address for the time of the block. */
function serving(handler: Handler): { readonly url: string } & AsyncDisposable {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, handler);
  return { url: `http://127.0.0.1:${server.addr.port}/tsa`, [Symbol.asyncDispose]: () => server.shutdown() };
}

async function authority() {
  const root = await makeCertificate({ name: "Root", key: await makeKey("P-256") });
  const signer = await makeCertificate({ name: "Stamp", key: await makeKey("P-256"), issuer: root });
  const answer: Handler = async (request) => {
    const query = new DerFields(parseDer(await request.bytes(), "query"), "query");
    query.next(TAG.integer);
    const imprint = query.next(TAG.sequence).whole.slice();
    const nonce = encodeDer(TAG.integer, query.next(TAG.integer).content);
    const certificates = [signer.certificate.der];
    return new Response(makeReply(await makeToken({ data: NOTE, signer, certificates, imprint, rest: [nonce] })));
  };
  const ask = (urls: readonly string[], options: Partial<StampOptions> = {}): Promise<Stamped> =>
    stamp(imprintOf(NOTE), urls, { roots: [root.certificate] }, { now: () => NOW, ...options });
  return { root, signer, answer, ask };
}

Deno.test("each authority is asked with a nonce of its own, and each token is kept with its chain and its root", async () => {
  const { root, signer, answer, ask } = await authority();
  const seen: Request[] = [];
  const queries: Bytes[] = [];
  await using server = serving(async (request) => {
    seen.push(request.clone());
    queries.push(await request.clone().bytes());
    return await answer(request);
  });
  const { taken, refused } = await ask([server.url, `${server.url}?2`]);
  assert.deepEqual(refused, []);
  assert.deepEqual(taken.map(({ url }) => url), [server.url, `${server.url}?2`]);
  assert.deepEqual(taken.map(({ chain }) => chain), [[signer.certificate], [signer.certificate]]);
  assert.ok(taken.every(({ verdict }) => verdict.root === root.certificate));
  assert.deepEqual(seen.map(({ method, headers }) => [method, headers.get("content-type")]), [
    ["POST", "application/timestamp-query"],
    ["POST", "application/timestamp-query"],
  ]);
  assert.notDeepEqual(queries[0], queries[1]);
  const [other] = (await ask([server.url], { hash: "SHA-512" })).taken;
  assert.deepEqual(other?.verdict.info.imprint, digest("SHA-512", NOTE));
});

Deno.test("an address that doesn't answer as it should is away, with a reason, and holds up no other", async () => {
  const { answer, ask } = await authority();
  const handlers: [RegExp, Handler][] = [
    [/^it answers with HTTP status 503$/, () => new Response("busy", { status: 503 })],
    [/^it answers with HTTP status 404$/, () => new Response(null, { status: 404 })],
    [/^its answer has more than 65536 bytes$/, () => new Response(new Uint8Array(65_537))],
  ];
  await using good = serving(answer);
  for (const [reason, handler] of handlers) {
    await using server = serving(handler);
    const { taken, refused } = await ask([server.url, good.url]);
    assert.equal(taken.length, 1);
    assert.equal(refused[0]?.cause, "away");
    assert.match(refused[0]?.reason ?? "", reason);
  }
  let followed = false;
  await using elsewhere = serving(() => {
    followed = true;
    return new Response();
  });
  await using redirecting = serving(() => Response.redirect(elsewhere.url, 307));
  const { refused: [redirected] } = await ask([redirecting.url]);
  assert.match(redirected?.reason ?? "", /HTTP status 307/);
  assert.equal(followed, false);
  const port = await closedPort();
  const { refused: [unreachable] } = await ask([`http://127.0.0.1:${port}/`]);
  assert.match(unreachable?.reason ?? "", /^it can't be reached: /);
});

/** A port on which nothing listens. */
async function closedPort(): Promise<number> {
  const server = serving(() => new Response());
  await server[Symbol.asyncDispose]();
  return Number(new URL(server.url).port);
}

Deno.test("an answer that doesn't come, or whose end doesn't, is given up", async () => {
  const { ask } = await authority();
  const silent = Promise.withResolvers<Response>();
  await using server = serving(() => silent.promise);
  const { refused: [late] } = await ask([server.url], { timeout: 50 });
  assert.equal(late?.reason, "it took longer than 0.05 s");
  const asked = Promise.withResolvers<void>();
  await using endless = serving(() => {
    const body = new ReadableStream({ start: (to) => to.enqueue(new Uint8Array(10)), pull: () => asked.resolve() });
    return new Response(body);
  });
  const { refused: [open] } = await ask([endless.url], { timeout: 200 });
  assert.equal(open?.reason, "it took longer than 0.2 s");
  const ended = new AbortController();
  const asking = ask([server.url], { signal: ended.signal });
  ended.abort();
  assert.equal((await asking).refused[0]?.reason, "it was asked no further");
  silent.resolve(new Response());
});

Deno.test("an answer that isn't taken is refused whole, and what it says can't pass for our words", async () => {
  const { root, signer, answer, ask } = await authority();
  const reasonOf = async (handler: Handler, now = NOW) => {
    await using server = serving(handler);
    const { taken, refused: [refusal] } = await ask([server.url], { now: () => now });
    assert.deepEqual([taken.length, refusal?.cause], [0, "refused"]);
    return refusal?.reason ?? "";
  };
  const words = sequence(ascii(TAG.utf8String, "done\u001b[2J"));
  assert.match(await reasonOf(() => new Response(makeReply(undefined, 2, words))), /status 2 \("done\\u\{1b\}\[2J"\)$/);
  assert.match(await reasonOf(answer, NOW + 600_000), /its clock is wrong by more than 5 minutes, or ours is/);
  const old = await makeToken({ data: NOTE, signer, certificates: [signer.certificate.der, root.certificate.der] });
  assert.match(await reasonOf(() => new Response(makeReply(old))), /for another query/);
  assert.match(await reasonOf(() => new Response("<html>")), /answer/);
  assert.match(await reasonOf(() => new Response()), /answer/);
  assert.match(await reasonOf((await authority()).answer), /not signed with the key|isn't trusted/);
});

Deno.test("no more than four authorities are asked", async () => {
  const { ask } = await authority();
  let count = 0;
  await using server = serving(() => {
    count++;
    return new Response(null, { status: 500 });
  });
  const { refused } = await ask(Array.from({ length: 6 }, () => server.url));
  assert.deepEqual([refused.length, count], [4, 4]);
});

Deno.test("an authority's URL is http or https, without a name, a password or a fragment", () => {
  for (const url of ["http://tsa.example", "https://tsa.example:8443/a?b=c"]) assert.ok(isServiceUrl(url), url);
  for (const url of ["", "tsa.example", "ftp://tsa.example", "http://a:b@tsa.example/", "http://tsa.example/#a"]) {
    assert.ok(!isServiceUrl(url), url);
  }
});

Deno.test({
  name: "openssl as an authority behind HTTP stamps, and verifies what is kept",
  ...skipUnless("openssl"),
  fn: async () => {
    using folder = temporaryFolder();
    await using authority = await startAuthority(folder.path);
    const roots = parseCertificateFile(await Deno.readTextFile(authority.root));
    const { taken: [one, two], refused } = await stamp(imprintOf(NOTE), [authority.url, authority.url], { roots }, {
      now: Date.now,
    });
    assert.deepEqual(refused, []);
    assert.equal(authority.asked(), 2);
    assert.notEqual(one?.verdict.info.serial, two?.verdict.info.serial);
    const { isGood, said } = await opensslVerifies(authority, one?.token ?? new Uint8Array(), NOTE);
    assert.ok(isGood, said);
  },
});
