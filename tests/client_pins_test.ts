import { type Pin, Pins } from "../lib/client_pins.ts";
import { assert } from "./assert.ts";

/** What is known of each certificate of ada's. */
function standings(pins: Pins): Record<string, string | undefined> {
  return Object.fromEntries(pins.devices("ada").map((device) => [device, pins.standing(device)]));
}

Deno.test("the first certificate of an account is believed, a further one is new, and one is nobody else's later", () => {
  const pins = new Pins();
  assert.equal(pins.see("phone", "Ada"), "first");
  assert.equal(pins.see("phone", "ada"), "known");
  assert.equal(pins.see("laptop", "ada"), "new");
  assert.equal(pins.see("phone", "bob"), "another's");
  assert.equal(pins.see("desk", "bob"), "first");
  assert.deepEqual(standings(pins), { phone: "first", laptop: "new" });
  assert.equal(pins.standing("never seen"), undefined);
  assert.deepEqual(["phone", "desk", "never seen"].map((one) => pins.usernameOf(one)), ["ada", "bob", undefined]);
});

Deno.test("a vouch counts where its author is trusted itself, for a certificate of its own account, and not for itself", () => {
  const pins = new Pins();
  pins.see("phone", "ada");
  pins.see("thief", "ada");
  pins.see("accomplice", "ada");
  pins.see("bob's", "bob");
  assert.deepEqual(pins.vouch("thief", "thief"), []);
  assert.deepEqual(pins.vouch("thief", "accomplice"), []);
  assert.deepEqual(pins.vouch("accomplice", "thief"), []);
  assert.deepEqual(pins.vouch("bob's", "thief"), []);
  assert.deepEqual(pins.vouch("never seen", "thief"), []);
  assert.deepEqual(standings(pins), { phone: "first", thief: "new", accomplice: "new" });
  assert.deepEqual(pins.vouch("phone", "bob's"), []);
  pins.see("laptop", "ada");
  assert.deepEqual(pins.vouch("phone", "laptop"), ["laptop"]);
  assert.deepEqual(pins.vouch("phone", "laptop"), []);
  assert.deepEqual(standings(pins), { phone: "first", thief: "new", accomplice: "new", laptop: "vouched" });
});

Deno.test("who is vouched for vouches, in whatever order the lines came, and before a certificate was seen as well", () => {
  const pins = new Pins();
  pins.see("phone", "ada");
  pins.see("laptop", "ada");
  pins.see("desk", "ada");
  assert.deepEqual(pins.vouch("laptop", "desk"), []);
  assert.deepEqual(pins.vouch("phone", "laptop"), ["laptop", "desk"]);
  assert.deepEqual(pins.vouch("desk", "car"), []);
  assert.equal(pins.see("car", "ada"), "vouched");
});

Deno.test("what was handed out to be kept gives the same standings again, in any order of the vouches", () => {
  const kept: Pin[] = [];
  const pins = new Pins([], (pin) => kept.push(pin));
  for (const device of ["phone", "thief", "laptop", "desk"]) pins.see(device, "ada");
  for (const [by, device] of [["laptop", "desk"], ["thief", "thief"], ["phone", "laptop"], ["phone", "laptop"]]) {
    pins.vouch(by ?? "", device ?? "");
  }
  const wanted = { phone: "first", thief: "new", laptop: "vouched", desk: "vouched" };
  assert.deepEqual(standings(pins), wanted);
  assert.equal(kept.length, 6, "nothing twice, and no vouch of a certificate for itself");
  assert.deepEqual(standings(new Pins(kept)), wanted);
  const [names, vouches] = [kept.filter((pin) => "username" in pin), kept.filter((pin) => !("username" in pin))];
  assert.deepEqual(standings(new Pins([...vouches.toReversed(), ...names])), wanted);
});
