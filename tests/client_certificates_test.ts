import { assert } from "./assert.ts";
import { personIdentity, RoomBench, type Tamper } from "./room_bench.ts";
import { OPEN, pair, text } from "./room_pair.ts";

Deno.test("a certificate that is not the one that was asked for is not kept, and asked for again", async () => {
  const bench = await RoomBench.create();
  const ada = await bench.client("ada");
  await ada.rooms.create("#ops", OPEN);
  const { pem: wrong } = await personIdentity("mallory");
  const tamper: Tamper = (
    frame,
  ) => [frame.type === "certificate" && frame.fingerprint === ada.fingerprint ? { ...frame, pem: wrong } : frame];
  const bob = await bench.client("bob", { tamper });
  await bob.rooms.join("#ops");
  await bench.settle();
  assert.match(bob.lines("#ops")[0]?.bad ?? "", /no certificate of its author/);
  assert.equal(bob.store.certificates.get(ada.fingerprint), undefined);
  const carol = await bench.client("carol");
  await carol.rooms.join("#ops");
  await bench.settle();
  await carol.cut(bench);
  carol.store.certificates.set(ada.fingerprint, wrong); // as it was kept once
  const again = await bench.client("carol", { store: carol.store });
  await ada.rooms.post("#ops", text("hello"));
  await bench.settle();
  assert.deepEqual([again.lines("#ops").at(-1)?.bad, again.lies], [null, []]);
  assert.equal(carol.store.certificates.get(ada.fingerprint), ada.pem);
});

Deno.test("a certificate is kept in one spelling, whatever the server's", async () => {
  const bench = await RoomBench.create();
  const ada = await bench.client("ada");
  await ada.rooms.create("#ops", OPEN);
  const respell = (pem: string) => pem.replaceAll("\n", "\r\n");
  const tamper: Tamper = (
    frame,
  ) => [frame.type === "certificate" ? { ...frame, pem: respell(String(frame.pem)) } : frame];
  const bob = await bench.client("bob", { tamper });
  bob.store.certificates.set(ada.fingerprint, respell(ada.pem)); // as it was kept once
  await bob.rooms.join("#ops");
  await bench.settle();
  assert.deepEqual([bob.lines("#ops")[0]?.bad, bob.lies], [null, []]);
  assert.equal(bob.store.certificates.get(ada.fingerprint), ada.pem);
});

Deno.test("a certificate that can't be kept is used all the same, and that is told", async () => {
  const { bench, ada, bob } = await pair();
  bob.store.keepCertificate = () => Promise.reject(new Error("full"));
  const carol = await bench.client("carol");
  await carol.rooms.join("#ops");
  await carol.rooms.post("#ops", text("hello"));
  await ada.rooms.post("#ops", text("hello carol"));
  await bench.settle();
  assert.deepEqual(bob.texts("#ops"), ["hello", "hello carol"]);
  assert.deepEqual(bob.of("warning").map(({ message }) => message), ["A certificate could not be noted on the disk."]);
});
