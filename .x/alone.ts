// one author alone; presigned
import { addLines, addPeople, Crowd, frameOf, Member, people, writeLine } from "../tools/bench_member.ts";
import { BenchKey } from "../tools/bench_key.ts";
import { makeAuthority, makePair } from "../lib/ca_folder.ts";
import { issueCertificate } from "../lib/ca.ts";
import { cpuOf, pause } from "../tools/bench_server.ts";
const N = Number(Deno.args[0] ?? 20000);
const inspect = Deno.args.includes("--inspect");
const noffi = Deno.args.includes("--no-ffi");
const folder = await Deno.makeTempDir();
const making = { days: 30, bits: 2048 } as const;
const authority = await makeAuthority(`${folder}/certs`, "x", making);
await makePair(`${folder}/certs`, authority, { role: "server", name: "localhost", hosts: ["localhost"] }, making);
const key = new BenchKey();
const random = (n: number) => crypto.getRandomValues(new Uint8Array(n));
const issue = async (name: string) => {
  const leaf = await issueCertificate(authority, { role: "client", name, publicKey: key.publicKey }, {
    now: Date.now(),
    random,
    days: 30,
  });
  return { chain: [leaf], pem: leaf.pem, key };
};
const [ada] = await people(issue, 1);
const data = `${folder}/data`;
await addPeople(data, [ada!]);
const child = new Deno.Command(Deno.execPath(), {
  args: [
    "run",
    "--quiet",
    "--no-prompt",
    "-A",
    ...(inspect ? ["--inspect=127.0.0.1:9229"] : []),
    ...(noffi ? ["--deny-ffi"] : []),
    new URL("../mod.ts", import.meta.url).pathname,
    "serve",
    "--host",
    "127.0.0.1",
    "--port",
    "0",
    "--db",
    "sqlite",
    "--certs",
    `${folder}/certs`,
    "--data",
    data,
    "--log-level",
    "warn",
    "--log-file",
    `${folder}/log`,
  ],
  stdout: "piped",
  stderr: "inherit",
}).spawn();
let said = "";
const rd = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
while (!/TLS on .*:\d+\n/.test(said)) said += (await rd.read()).value;
const tlsPort = Number(/TLS on .*:(\d+)\n/.exec(said)![1]);
const server = { tlsPort, port: 0, trust: { authorities: [authority.certificate], revocations: [] } } as any;
const m = await Member.arrive(server, ada!);
const log = await m.enter("#bench", true);
const frames = [
  frameOf(
    writeLine(log, key, {
      author: ada!.fingerprint,
      seqno: 0,
      ts: Date.now(),
      statement: { kind: "join", username: ada!.username },
    }),
  ),
  ...Array.from(
    { length: N },
    (_, i) =>
      frameOf(
        writeLine(log, key, {
          author: ada!.fingerprint,
          seqno: i + 1,
          ts: Date.now(),
          statement: { kind: "text", text: "The quick brown fox jumps over the lazy dog, and then it does it again." },
        }),
      ),
  ),
];
const crowd = new Crowd([m]);
m.send(frames.slice(0, 1));
await crowd.haveReceived(1);
console.log("ready", child.pid);
const W = Number(Deno.env.get("W") ?? 128), B = W / 8;
const go = async (from: number, to: number) => {
  for (let s = from; s < to; s += B) {
    await crowd.haveReceived(Math.max(0, s + B - W));
    m.send(frames.slice(s, Math.min(to, s + B)));
  }
  await crowd.haveReceived(to);
};
await go(1, 2001);
if (inspect) {
  console.log("go");
  await pause(2500);
}
const us = async () => {
  const s = await Deno.readTextFile(`/proc/${child.pid}/stat`);
  const f = s.slice(s.lastIndexOf(")") + 2).split(" ");
  return [Number(f[11]) * 10, Number(f[12]) * 10];
};
const u0 = await us();
const c0 = await cpuOf(child.pid), t0 = performance.now();
await go(2001, N + 1);
const c1 = await cpuOf(child.pid);
const u1 = await us();
console.log(
  "user",
  ((u1[0] - u0[0]) * 1000 / (N - 2000)).toFixed(1),
  "sys",
  ((u1[1] - u0[1]) * 1000 / (N - 2000)).toFixed(1),
);
console.log(
  "µs a line",
  ((c1 - c0) * 1000 / (N - 2000)).toFixed(1),
  "wall",
  ((performance.now() - t0) * 1000 / (N - 2000)).toFixed(1),
);
await pause(300);
child.kill("SIGKILL");
await child.status;
await Deno.remove(folder, { recursive: true });
Deno.exit();
