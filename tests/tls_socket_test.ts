import { createIssuer, issueCertificate } from "../lib/ca.ts";
import { encodePem } from "../lib/der.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import { publicKeyOf } from "../lib/private_key.ts";
import { connectPinned } from "../lib/tls_socket.ts";
import type { Certificate } from "../lib/x509.ts";
import { assert } from "./assert.ts";
import { authority, issuing, key } from "./fixtures.ts";

/** How `connectPinned` ends, with the CA of the tests, against a server that shows this chain. */
async function pinned(chain: readonly Certificate[], intermediates?: readonly Certificate[]): Promise<string> {
  using listener = Deno.listenTls({
    hostname: "127.0.0.1",
    port: 0,
    cert: chain.map(({ pem }) => pem).join(""),
    key: encodePem("PRIVATE KEY", await key("server")),
  });
  const answered = listener.accept().then(async (conn) => {
    await conn.handshake().catch(() => {});
    conn.close();
  });
  assert.ok("port" in listener.addr);
  const { certificate } = await authority();
  const options = { timeout: 5_000, maxQueued: 1 << 20, authority: certificate };
  const end = await connectPinned(
    "localhost",
    listener.addr.port,
    intermediates ? { ...options, intermediates } : options,
  )
    .then((link) => link.close(), (error) => error);
  await answered;
  if (end === undefined) return "connected";
  assert.ok(end instanceof Failure && end.status === EXIT.refused, String(end));
  return end.message;
}

Deno.test("a server's certificate below an issuing CA is taken with that CA's certificate alone", async () => {
  const root = await authority();
  const issuer = await createIssuer(root, "Issuing CA", await key("issuing"), issuing);
  const namesake = await createIssuer(root, "Issuing CA", await key("another issuing"), issuing);
  const request = { role: "server", name: "localhost", hosts: ["localhost"] } as const;
  const leaf = await issueCertificate(issuer, { ...request, publicKey: publicKeyOf(await key("server")) }, issuing);
  const chain = [leaf, issuer.certificate];
  assert.equal(await pinned(chain, [issuer.certificate]), "connected");
  assert.equal(await pinned(chain, [namesake.certificate, ...chain, root.certificate]), "connected");
  for (const others of [undefined, [], [leaf], [root.certificate], [namesake.certificate]]) {
    assert.match(await pinned(chain, others), /^certificate validation failed: .*; nothing was sent; ask/);
  }
});
