import { assert } from "./assert.ts";
import { Failure } from "../lib/errors.ts";
import { writeAtomically } from "../lib/files.ts";
import { encodePrivateKey } from "../lib/private_key.ts";
import { connectTls } from "../lib/transport.ts";
import { writeCertificates } from "./certificate_folder.ts";
import { runCommand, skipUnless } from "./environment.ts";
import { certificate, key } from "./fixtures.ts";
import { certificates, Client, withServer } from "./server.ts";

Deno.test("a session over TLS has rooms, and runs from hello to receipt", async () => {
  await withServer({}, async (server) => {
    const client = await Client.open(server, true, "tls");
    client.connection.hello();
    await client.expect("ready");
    await client.connection.register({ email: "ada@example.org", username: "ada", password: "correct horse" });
    await client.expect("welcome");
    await client.say("over TLS");
    await client.connection.quit();
    await client.expect("receipt");
    client.close();
  });
});

Deno.test({
  name: "the TLS port speaks TLS 1.3 with the server's certificate",
  ...skipUnless("openssl"),
  fn: async () => {
    await withServer({}, async ({ tlsPort }) => {
      const dir = await certificates();
      const { stdout } = await runCommand("sh", [
        "-c",
        `openssl s_client -connect 127.0.0.1:${tlsPort} -tls1_3 -servername localhost -CAfile ${dir}/ca_cert.pem ` +
        "-verify_return_error </dev/null",
      ]);
      assert.match(stdout, /TLSv1\.3/);
      assert.match(stdout, /Verify return code: 0 \(ok\)/);
      assert.match(stdout, /CN = SERVER: localhost/);
    });
  },
});

Deno.test("a TLS port that is in use is told with its own flag", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await assert.rejects(
    withServer({ TLS_PORT: String(taken.addr.port) }, () => Promise.resolve()),
    (error) => error instanceof Failure && /is in use; .* another with --tls-port$/.test(error.message),
  );
  await assert.rejects(
    withServer({ SERVER_PORT: "65535" }, () => Promise.resolve()),
    (error) =>
      error instanceof Failure && /no port behind 65535 for TLS; name one with --tls-port$/.test(error.message),
  );
});

Deno.test("a server whose certificate has ended lets nobody in and says why, until it has another", async () => {
  const folder = await Deno.makeTempDir({ prefix: "securechat-certs-" });
  const dir = `${folder}/certs`;
  await writeCertificates(dir);
  const request = { role: "server", name: "localhost", hosts: ["localhost", "127.0.0.1"] } as const;
  const short = await certificate("server", request, { now: Date.now(), days: 3 / 86_400 });
  await Deno.writeTextFile(`${dir}/server_cert.pem`, short.pem);
  await withServer({ CERT_DIR: dir }, async (server) => {
    assert.equal(await shown(server), short.fingerprint);
    await new Promise((go) => setTimeout(go, short.notAfter + 1000 - Date.now()));
    assert.equal(await (await Client.open(server)).expectError(), "server-error");
    const renewed = await certificate("server", request);
    await writeAtomically(`${dir}/server_cert.pem`, renewed.pem, { replace: true });
    await new Promise((go) => setTimeout(go, 2_500));
    assert.equal(await shown(server), renewed.fingerprint);
  });
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a server goes on as soon as nothing is wrong any more with the certificate that it has", async () => {
  const folder = await Deno.makeTempDir({ prefix: "securechat-certs-" });
  const dir = `${folder}/certs`;
  await writeCertificates(dir);
  const request = { role: "server", name: "localhost", hosts: ["localhost", "127.0.0.1"] } as const;
  await withServer({ CERT_DIR: dir }, async (server) => {
    const renewed = await certificate("server", request, { now: Date.now() + 604_000 }); // it counts from 10 minutes before
    await writeAtomically(`${dir}/server_cert.pem`, renewed.pem, { replace: true });
    await new Promise((go) => setTimeout(go, 2_000));
    assert.equal(await (await Client.open(server)).expectError(), "server-error");
    await new Promise((go) => setTimeout(go, renewed.notBefore + 2_000 - Date.now()));
    assert.equal(await shown(server), renewed.fingerprint);
  });
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a renewed server certificate is taken up without a restart, on both ports", async () => {
  const folder = await Deno.makeTempDir({ prefix: "securechat-certs-" });
  const dir = `${folder}/certs`;
  await writeCertificates(dir);
  await withServer({ CERT_DIR: dir }, async (server) => {
    const before = await shown(server);
    const renewed = await certificate("another server", {
      role: "server",
      name: "localhost",
      hosts: ["localhost", "127.0.0.1"],
    });
    const random = (size: number) => crypto.getRandomValues(new Uint8Array(size));
    const text = await encodePrivateKey(await key("another server"), undefined, random);
    await writeAtomically(`${dir}/server_private_key.pem`, text, { mode: 0o600, replace: true });
    await writeAtomically(`${dir}/server_cert.pem`, renewed.pem, { replace: true });
    assert.notEqual(renewed.fingerprint, before);
    for (let i = 0; i < 50 && await shown(server) !== renewed.fingerprint; i++) {
      await new Promise((go) => setTimeout(go, 100));
    }
    assert.equal(await shown(server), renewed.fingerprint);
    const authority = await Deno.readTextFile(`${dir}/ca_cert.pem`);
    const options = { timeout: 5_000, maxQueued: 1 << 20, authorities: [authority] };
    (await connectTls("localhost", server.tlsPort ?? 0, options)).close();
  });
  await Deno.remove(folder, { recursive: true });
});

/** The fingerprint of the certificate that a server shows. */
async function shown(server: { readonly port: number }): Promise<string | undefined> {
  const client = await Client.open(server);
  client.connection.hello();
  await client.expect("ready");
  client.close();
  return client.connection.serverCertificate?.fingerprint;
}
