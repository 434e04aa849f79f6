import { assert } from "./assert.ts";
import type { RoomRole, Statement } from "../lib/log_envelope.ts";
import { RoomState } from "../lib/log_roles.ts";

/** A room in which olga is the owner, otto another owner, mona and mike moderate, bob and eve are members. */
function roomOfAll(name = "#ops"): RoomState {
  const state = new RoomState(name, false);
  for (const username of ["olga", "otto", "mona", "mike", "bob", "eve"]) {
    state.apply({ author: username, username, statement: { kind: "join", username } });
  }
  const roles: readonly [string, RoomRole][] = [["otto", "owner"], ["mona", "moderator"], ["mike", "moderator"]];
  for (const [username, role] of roles) {
    state.apply({ author: "olga", username: "olga", statement: { kind: "role", username, role } });
  }
  return state;
}

/** Who may do each thing: the owner, a moderator, a member; and somebody who is not in the room. */
const TABLE: readonly (readonly [what: string, Statement | undefined, may: readonly [boolean, boolean, boolean]])[] = [
  ["write", { kind: "text", text: "hello" }, [true, true, true]],
  ["say something of an unknown kind", undefined, [true, true, true]],
  ["countersign", { kind: "head" }, [true, true, true]],
  ["part", { kind: "part" }, [true, true, true]],
  ["erase", { kind: "redact", index: 0 }, [true, true, true]],
  ["vouch for a device", { kind: "device", fingerprint: "f" }, [true, true, true]],
  ["set the topic", { kind: "topic", text: "new" }, [true, true, false]],
  ["invite", { kind: "invite", username: "zoe" }, [true, true, false]],
  ["kick a member", { kind: "kick", username: "eve" }, [true, true, false]],
  ["ban a member", { kind: "ban", username: "eve" }, [true, true, false]],
  ["mute a member", { kind: "mute", username: "eve" }, [true, true, false]],
  ["kick a moderator", { kind: "kick", username: "mike" }, [true, false, false]],
  ["ban a moderator", { kind: "ban", username: "mike" }, [true, false, false]],
  ["mute a moderator", { kind: "mute", username: "mike" }, [true, false, false]],
  ["kick an owner", { kind: "kick", username: "otto" }, [true, false, false]],
  ["give a role", { kind: "role", username: "eve", role: "moderator" }, [true, false, false]],
  ["give a role to somebody outside", { kind: "role", username: "zoe", role: "moderator" }, [false, false, false]],
];

const WHO = ["olga", "mona", "bob"] as const;

for (const [what, statement, may] of TABLE) {
  Deno.test(`who may ${what}, by role`, () => {
    const state = roomOfAll();
    const allowed = WHO.map((username) => state.objection({ author: username, username, statement }, 0) === undefined);
    assert.deepEqual(allowed, may, "owner, moderator, member");
    assert.equal(state.objection({ author: "zoe", username: "zoe", statement }, 0), "not-member");
  });
}

Deno.test("in a conversation of two both set the topic, and nobody moderates", () => {
  const state = new RoomState("@bob,@olga", true);
  for (const username of ["olga", "bob"]) {
    state.apply({ author: username, username, statement: { kind: "join", username } });
  }
  for (const username of ["olga", "bob"]) {
    const may = (statement: Statement) => state.objection({ author: username, username, statement }, 0);
    assert.equal(may({ kind: "topic", text: "ours" }), undefined);
    for (const kind of ["invite", "kick", "ban", "mute"] as const) {
      assert.equal(may({ kind, username: "bob" }), "forbidden");
    }
  }
});
