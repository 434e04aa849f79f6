/**
 * A room of a real server that a witness has seen and an authority of openssl has stamped, shown in a bundle.
 *
 *     const { shown, ca, root, policy } = await stampedRoom(dir);     shown.bundle → the path of the bundle
 */

import { assert } from "./assert.ts";
import { authority } from "./fixtures.ts";
import { personIdentity } from "./room_bench.ts";
import { dialTcp, Person } from "./room_person.ts";
import { certificates } from "./server.ts";
import { type AuthorityOptions, startAuthority } from "./timestamp_authority.ts";
import { startWitness } from "./witness_program.ts";
import { exportBundle, proveLine } from "../lib/client_bundle.ts";
import type { ExportOptions } from "../lib/client_export.ts";
import { readConfig } from "../lib/config.ts";
import { SILENT } from "../lib/logging.ts";
import { type RunningServer, serve } from "../server.ts";

/** Resolves when it has come to that: what a client reads of the log is no event. */
async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    assert(tries < 300, "it never comes to that");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** A file with the test's CA. */
async function writeAuthority(dir: string): Promise<string> {
  const { certificate } = await authority();
  await Deno.writeTextFile(`${dir}/ca.pem`, certificate.pem);
  return `${dir}/ca.pem`;
}

async function options(username: string, folder: string, ca: string): Promise<ExportOptions> {
  const { pem, key, chain: [leaf] } = await personIdentity(username);
  const identity = { pem, key, fingerprint: leaf?.fingerprint ?? "" };
  return { identity, now: Date.now(), folder, open: "all", ca };
}

/** A server with a log on a data folder that outlives it. */
async function open(dir: string, settings: Readonly<Record<string, string>>): Promise<RunningServer> {
  const all: Record<string, string> = {
    ...{ SERVER_HOST: "127.0.0.1", SERVER_PORT: "0", CERT_DIR: await certificates(), DATA_DIR: `${dir}/data` },
    ...settings,
  };
  const config = readConfig("serve", {}, { environment: (name) => all[name], file: undefined });
  return await serve({ config: { ...config, LOG_SECONDS: 1, STAMP_SECONDS: 2 }, log: SILENT });
}

/** A room that a witness has seen and an authority has stamped, and the folder with all of it. */
export async function stampedRoom(dir: string, authorityOptions: AuthorityOptions = {}) {
  await Deno.mkdir(`${dir}/tsa`);
  await using tsa = await startAuthority(`${dir}/tsa`, authorityOptions);
  const first = await open(dir, {});
  const before = await Person.create("ada", { dir, dial: dialTcp(first), times: { ping: 200 } });
  await before.session.start();
  await until(() => before.session.rooms.serverLog?.charter !== undefined);
  const { vkey = "" } = before.session.rooms.serverLog?.charter ?? {};
  await before.session.stop();
  await first.stop();
  await Deno.writeTextFile(`${dir}/logs.txt`, `log ${vkey}\nquorum none\n`);
  const args = ["--name", "witness.example/w1", "--logs", "logs.txt", "--data", "witness"];
  await using witness = await startWitness(args, dir);
  await Deno.writeTextFile(`${dir}/policy.txt`, `log ${vkey}\nwitness w1 ${witness.vkey} ${witness.url}\nquorum w1\n`);
  const server = await open(dir, { WITNESS_POLICY: `${dir}/policy.txt`, TSA_URLS: tsa.url, TSA_ROOTS: tsa.root });
  try {
    const ada = await Person.create("ada", { dir, dial: dialTcp(server), times: { ping: 200 } });
    await ada.session.start();
    await ada.session.rooms.create("#ops");
    const logOf = () => ada.session.rooms.serverLog;
    await ada.session.rooms.say("#ops", "hello");
    const origin = () => ada.session.rooms.monitor("#ops")?.origin ?? "";
    await until(() => logOf()?.headsOf(origin()).some(({ size }) => size === 2) ?? false);
    await until(() => logOf()?.hasToken === true);
    await ada.session.rooms.say("#ops", "good morning"); // names a head of the log behind a token
    await until(() => logOf()?.headsOf(origin()).some(({ size }) => size === 3) ?? false);
    const { tick = 0 } = logOf()?.headsOf(origin()).find(({ size }) => size === 3) ?? {};
    await until(() => logOf()?.hasTokenOver(tick + 1) === true);
    assert.deepEqual(ada.of("server_log"), []);
    const ca = await writeAuthority(dir);
    const shown = await exportBundle(ada.records, "#ops", await options("ada", dir, ca));
    const proof = await proveLine(ada.records, "#ops", 2, await options("ada", dir, ca));
    await ada.session.stop();
    return { shown, proof: proof.path, ca, root: tsa.root, policy: `${dir}/policy.txt` };
  } finally {
    await server.stop();
  }
}
