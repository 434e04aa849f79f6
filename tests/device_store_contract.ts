/**
 * What every store keeps of devices, codes and tokens, whichever database stands behind it; beside
 * `room_store_contract.ts`, and run likewise.
 */

import { assert } from "./assert.ts";
import { addUser, ALICE, BOB, count, fingerprint, NOW, refused, type RoomStoreFixture } from "./room_store_contract.ts";
import type { TestOptions } from "./store_contract.ts";
import type { DeviceStore, NewCode } from "../lib/server_device_store.ts";

/** Registers the contract's tests under the name of a store. */
export function testDeviceStore(
  name: string,
  openFixture: () => Promise<RoomStoreFixture>,
  options: TestOptions = {},
): void {
  function test(
    sentence: string,
    body: (devices: DeviceStore, fixture: RoomStoreFixture) => Promise<void>,
  ): void {
    Deno.test({
      name: `${name}: ${sentence}`,
      ...options,
      async fn() {
        await using fixture = await openFixture();
        await body(fixture.store.devices, fixture);
      },
    });
  }

  test("a certificate is bound to one account, and found with it", async (devices, { store }) => {
    const alice = await addUser(store, "Alice");
    const bob = await addUser(store, "bob");
    const pem = "-----BEGIN CERTIFICATE-----\n".repeat(3_000);
    assert.equal(await devices.findDevice(ALICE), undefined);
    assert.equal(await devices.bindDevice({ fingerprint: ALICE, userId: alice, pem, isIssued: false }, NOW), true);
    assert.equal(await devices.bindDevice({ fingerprint: ALICE, userId: alice, pem, isIssued: false }, NOW), false);
    assert.equal(
      await devices.bindDevice({ fingerprint: ALICE, userId: bob, pem: "other", isIssued: false }, NOW),
      false,
    );
    assert.equal(
      await devices.bindDevice({ fingerprint: BOB, userId: alice, pem: "second", isIssued: false }, NOW),
      true,
    );
    const account = { userId: alice, email: "Alice@example.com", username: "Alice" };
    assert.deepEqual(await devices.findDevice(ALICE), { fingerprint: ALICE, ...account, pem, isIssued: false });
    assert.deepEqual(await devices.findDevice(BOB), { fingerprint: BOB, ...account, pem: "second", isIssued: false });
    await assert.rejects(
      devices.bindDevice({ fingerprint: fingerprint("c"), userId: bob + 1000, pem, isIssued: false }, NOW),
    );
    assert.equal(await devices.findDevice(fingerprint("c")), undefined);
  });

  test(
    "findCertificate() finds a server's and a device's, and the first that was kept stays",
    async (devices, { store }) => {
      await devices.keepCertificate(fingerprint("server"), "server's");
      await devices.keepCertificate(fingerprint("server"), "again");
      await devices.bindDevice({
        fingerprint: ALICE,
        userId: await addUser(store, "alice"),
        pem: "Alice's",
        isIssued: false,
      }, NOW);
      assert.equal(await devices.findCertificate(fingerprint("server")), "server's");
      assert.equal(await devices.findCertificate(ALICE), "Alice's");
      assert.equal(await devices.findCertificate(BOB), undefined);
    },
  );

  test("what is no fingerprint and no hash is refused, not stored", async (devices, { store }) => {
    const userId = await addUser(store, "alice");
    for (const wrong of ["", "ab", ALICE.toUpperCase(), `${ALICE}00`, `${ALICE.slice(1)}g`]) {
      await refused(devices.bindDevice({ fingerprint: wrong, userId, pem: "", isIssued: false }, NOW));
      await refused(devices.keepCertificate(wrong, ""));
      await refused(devices.findDevice(wrong));
    }
  });

  const code = (secret: string, fields: Partial<NewCode> = {}): NewCode => ({
    hash: fingerprint(secret),
    username: "Alice",
    email: undefined,
    kind: "invitation",
    expiresAt: NOW + 1000,
    ...fields,
  });

  const NOT_ISSUED = { issuedTo: undefined, issuedPem: undefined };

  test(
    "a code is found until its end, and the certificate that was issued with it leads to it for longer",
    async (devices, { store }) => {
      const invitation = code("secret", { email: "alice@example.org" });
      const device = code("other", { kind: "device", username: "bob", expiresAt: NOW + 50 });
      await devices.addCode(invitation);
      await devices.addCode(device);
      await refused(devices.addCode(invitation));
      assert.deepEqual(await devices.findCode(invitation.hash, NOW), { ...invitation, ...NOT_ISSUED });
      assert.deepEqual(await devices.findCode(device.hash, NOW + 49), { ...device, ...NOT_ISSUED });
      assert.equal(await devices.findCode(device.hash, NOW + 50), undefined);
      assert.equal(await devices.findCode(fingerprint("nobody's"), NOW), undefined);
      assert.equal(await devices.codeOf(ALICE), undefined);
      assert.equal(await devices.issueWithCode(invitation.hash, { fingerprint: ALICE, pem: "pem" }), true);
      assert.equal(await devices.issueWithCode(invitation.hash, { fingerprint: BOB, pem: "pem" }), false);
      assert.equal(await devices.issueWithCode(fingerprint("nobody's"), { fingerprint: BOB, pem: "pem" }), false);
      assert.deepEqual(await devices.findCode(invitation.hash, NOW), {
        ...invitation,
        issuedTo: ALICE,
        issuedPem: "pem",
      });
      assert.equal(await devices.findCode(invitation.hash, NOW + 1000), undefined);
      await devices.dropExpired(NOW + 1000);
      assert.deepEqual(await devices.codeOf(ALICE), { ...invitation, issuedTo: ALICE, issuedPem: "pem" });
      assert.equal(await devices.codeOf(BOB), undefined);
      const userId = await addUser(store, "alice");
      assert.equal(
        await devices.bindDevice({ fingerprint: ALICE, userId, pem: "pem", isIssued: true }, NOW, invitation.hash),
        true,
      );
      assert.equal(await devices.codeOf(ALICE), undefined);
      assert.equal((await devices.findDevice(ALICE))?.isIssued, true);
    },
  );

  test("an invitation is found by its name, whatever the case, and by its address, until its end", async (devices) => {
    await devices.addCode(code("one", { username: "Carol", email: "carol@example.org" }));
    await devices.addCode(code("two", { username: "carol", expiresAt: NOW + 50 }));
    await devices.addCode(code("three", { username: "carol", kind: "device" }));
    const found = async (username: string, email: string, now = NOW) =>
      (await devices.invitationsFor({ username, email }, now)).map(({ hash }) => hash).sort();
    const both = [fingerprint("one"), fingerprint("two")].sort();
    assert.deepEqual(await found("CAROL", "other@example.org"), both);
    assert.deepEqual(await found("CAROL", "other@example.org", NOW + 50), [fingerprint("one")]);
    assert.deepEqual(await found("mallory", "carol@example.org"), [fingerprint("one")]);
    assert.deepEqual(await found("mallory", "mallory@example.org"), []);
  });

  test(
    "a code serves once, and issues once, however many try at once on two servers",
    async (devices, { store: server, second }) => {
      const other = await second();
      try {
        await devices.addCode(code("secret"));
        const store = (at: number) => at % 2 === 0 ? devices : other.devices;
        const issued = await Promise.all(
          count(8).map((at) =>
            store(at).issueWithCode(fingerprint("secret"), { fingerprint: fingerprint(`${at}`), pem: "pem" })
          ),
        );
        assert.equal(issued.filter((isFirst) => isFirst).length, 1);
        const issuedTo = fingerprint(`${issued.indexOf(true)}`);
        assert.equal((await devices.findCode(fingerprint("secret"), NOW))?.issuedTo, issuedTo);
        const userId = await addUser(server, "alice");
        const used = await Promise.all(
          count(8).map((at) => {
            const device = { fingerprint: fingerprint(`device ${at}`), userId, pem: "pem", isIssued: false };
            return store(at).bindDevice(device, NOW, fingerprint("secret"));
          }),
        );
        assert.equal(used.filter((isFirst) => isFirst).length, 1);
        for (const [at, isFirst] of used.entries()) {
          assert.equal(await devices.findDevice(fingerprint(`device ${at}`)) !== undefined, isFirst, "both or neither");
        }
        assert.equal(await devices.findCode(fingerprint("secret"), NOW), undefined);
        assert.equal(await devices.codeOf(issuedTo), undefined);
        assert.equal(await devices.issueWithCode(fingerprint("secret"), { fingerprint: BOB, pem: "pem" }), false);
      } finally {
        await other.close();
      }
    },
  );

  test(
    "a token is found until its end, and dropped with its certificate's, all or those before one",
    async (devices, { store }) => {
      const userId = await addUser(store, "alice");
      const token = (secret: string, author = ALICE, expiresAt = NOW + 50) => ({
        ...{ hash: fingerprint(secret), userId, fingerprint: author, expiresAt },
      });
      const held = async () => {
        const found = ["1", "2", "3", "4"].map(async (
          secret,
        ) => [secret, await devices.findToken(fingerprint(secret), NOW)]);
        return (await Promise.all(found)).flatMap(([secret, one]) => one === undefined ? [] : [secret]);
      };
      const later = token("3", ALICE, NOW + 51);
      for (const one of [token("1"), token("2"), later, token("4", BOB)]) await devices.addToken(one);
      await refused(devices.addToken(token("1")));
      assert.deepEqual(await devices.findToken(fingerprint("1"), NOW + 49), token("1"));
      assert.equal(await devices.findToken(fingerprint("1"), NOW + 50), undefined);
      await devices.dropTokens(ALICE, token("2"));
      assert.deepEqual(await held(), ["2", "3", "4"]);
      await devices.dropTokens(ALICE, later);
      assert.deepEqual(await held(), ["3", "4"]);
      await devices.dropTokens(ALICE);
      assert.deepEqual(await held(), ["4"]);
    },
  );

  test("dropExpired() drops tokens and codes past their end alone", async (devices, { store }) => {
    const userId = await addUser(store, "alice");
    for (const [secret, expiresAt] of [["early", NOW + 10], ["late", NOW + 11]] as const) {
      await devices.addToken({ hash: fingerprint(secret), userId, fingerprint: ALICE, expiresAt });
      await devices.addCode(code(secret, { expiresAt }));
    }
    await devices.dropExpired(NOW + 10);
    assert.equal(await devices.findToken(fingerprint("early"), NOW), undefined);
    assert.equal(await devices.findCode(fingerprint("early"), NOW), undefined);
    assert((await devices.findToken(fingerprint("late"), NOW)) && (await devices.findCode(fingerprint("late"), NOW)));
  });
}
