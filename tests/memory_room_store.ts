/** A {@link RoomStore} and a {@link DeviceStore} in memory: for tests of rooms, which may make it slow or make it fail. */

import type { Bytes } from "../lib/bytes.ts";
import type { Checkpoint } from "../lib/log_checkpoint.ts";
import type { TreeNode } from "../lib/log_tree.ts";
import type {
  Consequences,
  LastLine,
  NewRoom,
  RoomStore,
  StoredLine,
  StoredRoom,
  StoredState,
} from "../lib/room_store.ts";
import type { BoundDevice, Code, DeviceStore, NewCode, NewDevice, SessionToken } from "../lib/server_device_store.ts";
import { StoreUnavailable } from "../lib/server_store.ts";

interface Log {
  room: StoredRoom;
  readonly lines: StoredLine[];
  readonly nodes: Map<string, Bytes>;
  readonly checkpoints: Checkpoint[];
  readonly epochs: { epoch: number; wrappedKey: Bytes }[];
  state?: StoredState;
}

export class MemoryRoomStore implements RoomStore, DeviceStore {
  readonly logs = new Map<string, Log>();
  /** A name of which there is no account. */
  nobody = "nobody";
  readonly devices = new Map<string, BoundDevice>();
  readonly certificates = new Map<string, string>();
  readonly waiting = new Map<string, { room: string; from: string }[]>();
  readonly codes = new Map<string, Code & { isUsed: boolean }>();
  readonly tokens = new Map<string, SessionToken>();
  /** Transactions so far. */
  commits = 0;
  /** Called before lines are stored: may wait, or throw. */
  beforeCommit: () => Promise<void> | void = () => {};

  /** Makes the next commits fail. */
  fail(): void {
    this.beforeCommit = () => {
      throw new StoreUnavailable("the test says so");
    };
  }

  log(origin: string): Log {
    const log = [...this.logs.values()].find(({ room }) => room.origin === origin);
    if (!log) throw new Error(`there is no log ${origin}`);
    return log;
  }

  createRoom(room: NewRoom): Promise<boolean> {
    if (this.logs.has(room.name)) return Promise.resolve(false);
    this.logs.set(room.name, { room: { ...room, size: 0 }, lines: [], nodes: new Map(), checkpoints: [], epochs: [] });
    return Promise.resolve(true);
  }
  madeSince(at: number) {
    const made = new Map<string, number>();
    for (const { room: { maker, createdAt } } of this.logs.values()) {
      if (maker !== undefined && createdAt >= at) made.set(maker, (made.get(maker) ?? 0) + 1);
    }
    return Promise.resolve(made);
  }
  findRoom(name: string) {
    const log = this.logs.get(name);
    return Promise.resolve(log && { ...log.room, size: log.lines.length });
  }
  listRooms(after: string, count: number) {
    const names = [...this.logs.keys()].filter((name) => name.startsWith("#") && name > after).sort();
    return Promise.all(
      names.slice(0, count).map(async (name) => {
        const room = await this.findRoom(name);
        if (!room) throw new Error("a room that is listed is there");
        return room;
      }),
    );
  }

  listLogs() {
    return Promise.resolve([...this.logs.values()].map(({ room, lines }) => ({ ...room, size: lines.length })));
  }
  markForked(origin: string, at: number) {
    const log = this.log(origin);
    log.room = { forkedAt: at, ...log.room };
    return Promise.resolve();
  }
  closeLog(origin: string, at: number) {
    const log = this.log(origin);
    const { name, closedAt } = log.room;
    if (closedAt !== undefined) return Promise.resolve(false);
    log.room = { ...log.room, closedAt: at };
    this.logs.delete(name);
    this.logs.set(`/${origin}`, log);
    for (const username of this.waiting.keys()) this.#dropInvitation(name, username);
    return Promise.resolve(true);
  }
  closedLogs() {
    const closed = [...this.logs.values()].filter(({ room }) => room.closedAt !== undefined);
    return Promise.resolve(closed.map(({ room }) => room.origin));
  }

  async appendLines(
    origin: string,
    lines: readonly StoredLine[],
    nodes: readonly TreeNode[],
    { erased = [], uninvited = [], epoch, state }: Consequences = {},
  ): Promise<void> {
    await this.beforeCommit();
    const log = this.log(origin);
    if (log.room.forkedAt !== undefined || log.room.closedAt !== undefined) throw new Error("the log takes no lines");
    for (const [offset, line] of lines.entries()) {
      const isTaken = log.lines.some(({ author, seqno }) => author === line.author && seqno === line.seqno);
      if (line.index !== log.lines.length + offset || isTaken) throw new Error("the index or the seqno is taken");
    }
    if (epoch && log.epochs.some((one) => one.epoch === epoch.epoch)) throw new Error("the epoch has a key");
    this.commits += 1;
    log.lines.push(...lines);
    for (const { level, index, hash } of nodes) log.nodes.set(`${level} ${index}`, hash);
    if (epoch) log.epochs.push(epoch);
    if (state) log.state = state;
    for (const username of uninvited) this.#dropInvitation(log.room.name, username);
    for (const index of erased) {
      const line = log.lines[index];
      if (line) log.lines[index] = { ...line, body: null };
    }
  }
  async settle() {
    await this.beforeCommit();
  }
  linesFrom(origin: string, from: number, count: number) {
    return Promise.resolve(this.log(origin).lines.slice(from, from + count));
  }
  actLines(origin: string, from: number, count: number) {
    const acts = this.log(origin).lines.filter(({ isAct, index }) => isAct && index >= from);
    return Promise.resolve(acts.slice(0, count));
  }
  lastLines(origin: string, after: string, count: number) {
    const last = new Map<string, LastLine>();
    for (const line of this.log(origin).lines) last.set(line.author, line);
    const sorted = [...last.values()].sort((one, other) => one.author < other.author ? -1 : 1);
    return Promise.resolve(sorted.filter(({ author }) => author > after).slice(0, count));
  }
  findState(origin: string) {
    return Promise.resolve(this.log(origin).state);
  }
  lineBy(origin: string, author: string, seqno: number) {
    return Promise.resolve(this.log(origin).lines.find((line) => line.author === author && line.seqno === seqno));
  }
  nodes(origin: string, places: readonly { level: number; index: number }[]) {
    return Promise.resolve(places.map(({ level, index }) => {
      const hash = this.log(origin).nodes.get(`${level} ${index}`);
      if (!hash) throw new Error(`there is no node ${level} ${index}`);
      return hash;
    }));
  }

  addCheckpoint(origin: string, checkpoint: Checkpoint) {
    const { checkpoints } = this.log(origin);
    const held = checkpoints.find(({ size }) => size === checkpoint.size);
    if (held && held.root !== checkpoint.root) return Promise.reject(new Error("another root was signed"));
    if (!held) checkpoints.push(checkpoint);
    return Promise.resolve(held ?? checkpoint);
  }
  latestCheckpoint(origin: string, by = Infinity) {
    return Promise.resolve(this.log(origin).checkpoints.findLast(({ time }) => time <= by));
  }
  signedRoot(origin: string, size: number) {
    return Promise.resolve(this.log(origin).checkpoints.find((checkpoint) => checkpoint.size === size)?.root);
  }
  addEpoch(origin: string, epoch: number, wrappedKey: Bytes) {
    const { epochs } = this.log(origin);
    if (epochs.some((one) => one.epoch === epoch)) return Promise.reject(new Error("the epoch has a key"));
    epochs.push({ epoch, wrappedKey });
    return Promise.resolve();
  }
  epochs(origin: string, from: number, count: number) {
    return Promise.resolve(this.log(origin).epochs.filter(({ epoch }) => epoch >= from).slice(0, count));
  }

  isAccount(username: string) {
    return Promise.resolve(username !== this.nobody);
  }
  addInvitation(room: string, username: string, from: string) {
    const all = this.waiting.get(username) ?? [];
    if (!all.some((one) => one.room === room)) this.waiting.set(username, [...all, { room, from }]);
    return Promise.resolve();
  }
  invitations(username: string) {
    return Promise.resolve(this.waiting.get(username.toLowerCase()) ?? []);
  }
  #dropInvitation(room: string, username: string): void {
    const key = username.toLowerCase();
    this.waiting.set(key, (this.waiting.get(key) ?? []).filter((one) => one.room !== room));
  }

  bindDevice({ fingerprint, userId, pem, isIssued }: NewDevice, _boundAt: number, code?: string) {
    if (this.devices.has(fingerprint)) return Promise.resolve(false);
    if (code !== undefined && !this.#useCode(code)) return Promise.resolve(false);
    this.devices.set(fingerprint, {
      fingerprint,
      userId,
      pem,
      isIssued,
      email: `${userId}@example.org`,
      username: `user${userId}`,
    });
    return Promise.resolve(true);
  }
  findDevice(fingerprint: string) {
    return Promise.resolve(this.devices.get(fingerprint));
  }
  keepCertificate(fingerprint: string, pem: string) {
    this.certificates.set(fingerprint, pem);
    return Promise.resolve();
  }
  findCertificate(fingerprint: string) {
    return Promise.resolve(this.certificates.get(fingerprint) ?? this.devices.get(fingerprint)?.pem);
  }

  addCode(code: NewCode) {
    this.codes.set(code.hash, { ...code, issuedTo: undefined, issuedPem: undefined, isUsed: false });
    return Promise.resolve();
  }
  findCode(hash: string, now: number) {
    const code = this.codes.get(hash);
    return Promise.resolve(code && !code.isUsed && code.expiresAt > now ? code : undefined);
  }
  issueWithCode(hash: string, { fingerprint, pem }: { fingerprint: string; pem: string }) {
    const code = this.codes.get(hash);
    if (!code || code.issuedTo !== undefined) return Promise.resolve(false);
    this.codes.set(hash, { ...code, issuedTo: fingerprint, issuedPem: pem });
    return Promise.resolve(true);
  }
  #useCode(hash: string): boolean {
    const code = this.codes.get(hash);
    if (!code || code.isUsed) return false;
    code.isUsed = true;
    return true;
  }
  invitationsFor({ username, email }: { username: string; email: string }, now: number) {
    const isFor = (code: Code) => code.username.toLowerCase() === username.toLowerCase() || code.email === email;
    return Promise.resolve(
      [...this.codes.values()].filter((code) =>
        code.kind === "invitation" && !code.isUsed && code.expiresAt > now && isFor(code)
      ),
    );
  }
  codeOf(fingerprint: string) {
    return Promise.resolve(
      [...this.codes.values()].find(({ issuedTo, isUsed }) => issuedTo === fingerprint && !isUsed),
    );
  }

  addToken(token: SessionToken) {
    this.tokens.set(token.hash, token);
    return Promise.resolve();
  }
  findToken(hash: string, now: number) {
    const token = this.tokens.get(hash);
    return Promise.resolve(token && token.expiresAt > now ? token : undefined);
  }
  dropTokens(fingerprint: string, before?: SessionToken) {
    for (const [hash, token] of this.tokens) {
      const isOlder = !before || (token.expiresAt <= before.expiresAt && hash !== before.hash);
      if (token.fingerprint === fingerprint && isOlder) this.tokens.delete(hash);
    }
    return Promise.resolve();
  }
  dropExpired(now: number) {
    for (const [hash, token] of this.tokens) if (token.expiresAt <= now) this.tokens.delete(hash);
    for (const [hash, { expiresAt, issuedTo }] of this.codes) {
      if (expiresAt <= now && issuedTo === undefined) this.codes.delete(hash);
    }
    return Promise.resolve();
  }
}
