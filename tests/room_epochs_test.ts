import { assert } from "./assert.ts";
import { type EpochOptions, RoomEpochs } from "../lib/room_epochs.ts";
import { countingRandom } from "./fixtures.ts";
import { MemoryRoomStore } from "./memory_room_store.ts";

const ORIGIN = `localhost/#ops/${"0".repeat(32)}`;

async function options(): Promise<EpochOptions & { readonly store: MemoryRoomStore }> {
  const store = new MemoryRoomStore();
  await store.createRoom({ name: "#ops", origin: ORIGIN, history: "all", inviteOnly: false, createdAt: 0 });
  const contexts = new Map<string, string>();
  const keys: EpochOptions["keys"] = {
    wrap(key, context) {
      contexts.set(key.join(), context);
      return key;
    },
    unwrap: (wrapped, context) => contexts.get(wrapped.join()) === context ? wrapped : undefined,
  };
  return { origin: ORIGIN, store, keys, random: countingRandom() };
}

Deno.test("a room has a key from the beginning, and the same ones when it is read again", async () => {
  const given = await options();
  const epochs = await RoomEpochs.load(given);
  assert.equal(epochs.current, 1);
  await epochs.begin();
  const again = await RoomEpochs.load(given);
  assert.equal(again.current, 2);
  for (const epoch of [1, 2]) assert.deepEqual(again.key(epoch), epochs.key(epoch));
  assert.notDeepEqual(again.key(1), again.key(2));
  assert.equal(again.key(3), undefined);
});

Deno.test("a key that was wrapped for elsewhere is not gone on with", async () => {
  const given = await options();
  await RoomEpochs.load(given);
  const other = { ...given, keys: { ...given.keys, unwrap: () => undefined } };
  await assert.rejects(RoomEpochs.load(other), /epoch 1 of .* is this its key file/);
});

Deno.test("a line may be under the current key or the one before, and under no other", async () => {
  const epochs = await RoomEpochs.load(await options());
  await epochs.begin();
  await epochs.begin();
  assert.deepEqual([1, 2, 3, 4].map((epoch) => epochs.keyForPost(epoch) !== undefined), [false, true, true, false]);
  assert.deepEqual(epochs.from(2), [2, 3]);
  epochs.retireBefore(3);
  epochs.retireBefore(2);
  assert.deepEqual([2, 3].map((epoch) => epochs.keyForPost(epoch) !== undefined), [false, true]);
});

Deno.test("an epoch whose key was stored, though the answer was lost, is gone on from", async () => {
  const given = await options();
  const epochs = await RoomEpochs.load(given);
  const { store } = given;
  const addEpoch = store.addEpoch.bind(store);
  store.addEpoch = async (...all) => {
    store.addEpoch = addEpoch;
    await addEpoch(...all);
    throw new Error("the answer is lost");
  };
  await assert.rejects(epochs.begin(), /answer is lost/);
  assert.equal(epochs.current, 1);
  await epochs.begin();
  assert.equal(epochs.current, 3);
  const other = await RoomEpochs.load(given);
  assert.deepEqual(other.from(1), [1, 2, 3]);
  await other.begin(({ epoch, wrappedKey }) => addEpoch(ORIGIN, epoch, wrappedKey));
  await epochs.read();
  assert.deepEqual([epochs.current, epochs.key(4)], [4, other.key(4)]);
});

Deno.test("epochs that begin at once begin one after the other, and one whose key isn't stored doesn't", async () => {
  const given = await options();
  const epochs = await RoomEpochs.load(given);
  await Promise.all([epochs.begin(), epochs.begin()]);
  assert.equal(epochs.current, 3);
  const addEpoch = given.store.addEpoch.bind(given.store);
  given.store.addEpoch = () => Promise.reject(new Error("full"));
  await assert.rejects(epochs.begin(), /full/);
  given.store.addEpoch = addEpoch;
  assert.equal(epochs.current, 3);
  await epochs.begin();
  assert.equal(epochs.current, 4);
});

Deno.test("an epoch without a line is as good as another one", async () => {
  const given = await options();
  const epochs = await RoomEpochs.load(given);
  assert(!await epochs.beginIfUsed());
  epochs.use(1);
  assert(await epochs.beginIfUsed());
  epochs.use(1);
  assert(!await epochs.beginIfUsed(), "a line under the key before uses the current one not");
  assert(await (await RoomEpochs.load(given)).beginIfUsed(), "after a restart nobody knows");
});
