import { generateKey, issueCertificate, keyOfRequest } from "../lib/ca.ts";
import { makeIssuer } from "../lib/ca_folder.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import { finishRenewal, loadIdentity, replacedBy } from "../lib/identity.ts";
import { decodePrivateKey, isProtected, publicKeyOf } from "../lib/private_key.ts";
import { isDue, Renewal } from "../lib/client_renewal.ts";
import { parseCertificates } from "../lib/x509.ts";
import { assert } from "./assert.ts";
import { auditRows, eventually } from "./audit_rows.ts";
import { writeCertificates } from "./certificate_folder.ts";
import { temporaryFolder } from "./environment.ts";
import { authority, certificate, identities, issuing } from "./fixtures.ts";
import { ofType, World } from "./room_program.ts";

const DAY = 86_400_000;
const random = (size: number) => crypto.getRandomValues(new Uint8Array(size));

Deno.test("a certificate is renewed in its last 30 days, or the last third of a short life", async () => {
  const leaf = await certificate("client", { role: "client", name: "ada" }, { days: 365 });
  const short = await certificate("client", { role: "client", name: "ada" }, { days: 9 });
  assert.equal(isDue(leaf, leaf.notAfter - 31 * DAY), false);
  assert.equal(isDue(leaf, leaf.notAfter - 29 * DAY), true);
  assert.equal(isDue(leaf, leaf.notAfter + DAY), true);
  assert.equal(isDue(short, short.notAfter - 4 * DAY), false);
  assert.equal(isDue(short, short.notAfter - 2 * DAY), true);
});

/** A CERT_DIR, how its certificate is renewed, and what a server would give for a request. */
async function place(passphrase?: string) {
  const folder = temporaryFolder();
  const dir = `${folder.path}/certs`;
  await writeCertificates(dir);
  const { trust } = await identities();
  const renewal = new Renewal({ dir, passphrase, trust: () => Promise.resolve(trust), random });
  const issue = async (csr: string, name = "ada") => {
    const publicKey = await keyOfRequest(csr);
    assert(publicKey);
    return (await issueCertificate(await authority(), { role: "client", name, publicKey }, issuing)).pem;
  };
  return { dir, renewal, issue, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

Deno.test("a renewed certificate takes the place of the old one, which is kept beside it", async () => {
  using made = await place();
  const { dir, renewal, issue } = made;
  const old = await loadIdentity(dir, "client");
  assert.equal(await replacedBy(old, dir), undefined);
  const pem = await issue(await renewal.request());
  const leaf = await renewal.check(pem, "ada");
  const now = await renewal.finish(pem);
  assert.equal(now.chain[0]?.fingerprint, leaf.fingerprint);
  assert.equal(await replacedBy(now, dir), old.chain[0]?.fingerprint);
  assert.deepEqual((await loadIdentity(dir, "client")).chain.map(({ pem }) => pem).join(""), pem);
  assert.deepEqual([...Deno.readDirSync(dir)].map(({ name }) => name).filter((name) => name.includes("next")), []);
  for (const file of ["client_private_key.pem", "client.old_private_key.pem"]) {
    assert.equal((await Deno.stat(`${dir}/${file}`)).mode! & 0o777, 0o600, file);
  }
});

Deno.test("a crash at any point of a renewal leaves a pair that belongs together", async () => {
  using made = await place();
  const { dir, renewal, issue } = made;
  const before = await loadIdentity(dir, "client");
  const pem = await issue(await renewal.request());
  assert.equal((await loadIdentity(dir, "client")).pem, before.pem, "with the key alone the old pair counts");
  await Deno.writeTextFile(`${dir}/client.next_cert.pem`, pem);
  await Deno.mkdir(`${dir}/copy`);
  for (const { name } of Deno.readDirSync(dir)) {
    if (name !== "copy") await Deno.copyFile(`${dir}/${name}`, `${dir}/copy/${name}`);
  }
  assert.equal((await loadIdentity(dir, "client")).pem, pem, "with its certificate the new one does");

  await Deno.rename(`${dir}/copy/client.next_private_key.pem`, `${dir}/copy/client_private_key.pem`);
  await finishRenewal(`${dir}/copy`);
  assert.equal((await loadIdentity(`${dir}/copy`, "client")).pem, pem, "also where the key alone was in its place");
});

Deno.test("a certificate for another key, another name or by another CA is refused, and changes nothing", async () => {
  using made = await place();
  const { dir, renewal, issue } = made;
  const before = await Deno.readTextFile(`${dir}/client_cert.pem`);
  const csr = await renewal.request();
  const ofOtherKey = await certificate("another", { role: "client", name: "ada" });
  const other = await certificate("server", { role: "server", name: "localhost", hosts: ["localhost"] });
  for (const pem of [await issue(csr, "mallory"), ofOtherKey.pem, other.pem]) {
    await assert.rejects(
      renewal.check(pem, "ada"),
      (error) => error instanceof Failure && error.status === EXIT.refused,
    );
  }
  assert.equal(await Deno.readTextFile(`${dir}/client_cert.pem`), before);
});

Deno.test("two programs that renew one certificate leave a pair that belongs together", async () => {
  using made = await place();
  const { dir, renewal, issue } = made;
  const pem = await issue(await renewal.request());
  await renewal.check(pem, "ada");
  const other = await issue(await renewal.request()); // before the first has put its own in its place
  await assert.rejects(renewal.finish(pem), /another program that uses the same certificate is renewing it/);
  await loadIdentity(dir, "client");
  await renewal.check(other, "ada");
  assert.equal((await renewal.finish(other)).pem, other);
});

Deno.test("the new key is protected by the passphrase of the old one", async () => {
  using made = await place("open sesame");
  await made.renewal.request();
  const text = await Deno.readTextFile(`${made.dir}/client.next_private_key.pem`);
  assert(isProtected(text));
  assert.notDeepEqual(publicKeyOf(await decodePrivateKey(text, "open sesame")), publicKeyOf(await generateKey()));
});

Deno.test("rooms renews a certificate that ends soon, goes on without a password, and the others know it as the same person's", async () => {
  await using world = await World.create(async (dir) => {
    await makeIssuer(dir, await authority(), "issuing CA", { days: 30, bits: 2048 });
  });
  const endsSoon = await certificate("person ada ", { role: "client", name: "ada" }, {
    now: Date.now() - 360 * DAY,
    days: 365,
  });
  await world.certify("ada", endsSoon.pem);
  await using ada = await world.start("ada", "--json");
  await ada.type({ command: "create", room: "#ops" });
  await ada.until('"event":"caught_up"');
  await using bob = await world.start("bob", "--json", "#ops");
  await bob.until('"event":"caught_up"');
  await ada.until('"event":"renewed"');
  await Deno.remove(`${world.path}/password`);
  const [renewed] = ofType(ada, "renewed");
  assert(renewed);
  await ada.until((client) => ofType(client, "online").length === 2);
  await ada.type({ command: "say", room: "#ops", text: "still me" });
  await bob.until('"text":"still me"');
  const join = ofType(bob, "line").findLast(({ kind }) => kind === "join");
  assert.deepEqual(join?.statement, { kind: "join", username: "ada", was: endsSoon.fingerprint });
  const said = ofType(bob, "line").at(-1);
  assert.deepEqual([said?.from, said?.unvouched, said?.bad], [renewed.fingerprint, false, null]);
  assert.deepEqual([...ofType(bob, "lie"), ...ofType(ada, "lie"), ...ofType(ada, "warning")], []);
  assert.equal(await ada.end(), 0);

  await using again = await world.start("ada", "--json");
  await again.type({ command: "say", room: "#ops", text: "and again" });
  await bob.until('"text":"and again"');
  assert.equal(ofType(bob, "line").at(-1)?.from, renewed.fingerprint);
  const [leaf] = parseCertificates(await Deno.readTextFile(`${world.path}/ada/client_cert.pem`));
  assert.equal(leaf?.fingerprint, renewed.fingerprint);
  await eventually(() =>
    assert(auditRows(`${world.path}/data`).some((row) => /^certificate_renewed: .*ada/.test(row)))
  );
  assert.equal(await again.end(), 0);
});

Deno.test("where the server can't renew, rooms says so, and goes on with what it has", async () => {
  await using world = await World.create();
  const times = { now: Date.now() - 360 * DAY, days: 365 };
  await world.certify("ada", (await certificate("person ada ", { role: "client", name: "ada" }, times)).pem);
  await using ada = await world.start("ada", "--json");
  await ada.until('"event":"warning"');
  assert.match(ofType(ada, "warning")[0]?.message ?? "", /^The certificate ends at .* and could not be renewed: /);
  await ada.type({ command: "create", room: "#ops" });
  await ada.until('"event":"caught_up"');
  assert.equal(await ada.end(), 0);
});
