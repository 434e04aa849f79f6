/** A CERT_DIR for programs under test: the CA, the server for localhost and the person of `fixtures.ts`, as files. */

import { encodePrivateKey } from "../lib/private_key.ts";
import { authority, identities, key } from "./fixtures.ts";

/** Writes the certificates and keys into a new folder. */
export async function writeCertificates(dir: string): Promise<void> {
  await Deno.mkdir(dir);
  const { server, client } = await identities();
  await Deno.writeTextFile(`${dir}/ca_cert.pem`, (await authority()).certificate.pem);
  for (const [role, { pem }] of Object.entries({ server, client })) {
    await Deno.writeTextFile(`${dir}/${role}_cert.pem`, pem);
    const random = (size: number) => crypto.getRandomValues(new Uint8Array(size));
    const text = await encodePrivateKey(await key(role), undefined, random);
    await Deno.writeTextFile(`${dir}/${role}_private_key.pem`, text, { mode: 0o600 });
  }
}
