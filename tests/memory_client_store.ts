/** A {@link ClientStore} in memory: what would be on a client's disk, which outlives the client that wrote it. */

import type { JsonObject } from "../lib/json.ts";
import type { Pin } from "../lib/client_pins.ts";
import type { ClientStore, Kept, KeptLine, KeptRoom, RoomRecord, UnsentLine } from "../lib/client_store.ts";
import type { HistoryPolicy } from "../lib/log_requests.ts";

/** The record of one room. */
export class MemoryRoomRecord implements RoomRecord {
  pinned: { readonly origin: string; readonly history: HistoryPolicy } | undefined;
  readonly kept: Kept[] = [];
  readonly lines: KeptLine[] = [];
  readonly #unsent = new Map<number, UnsentLine>();
  /** Called before each write of an unsent line: may wait, or throw. */
  beforeUnsent: () => Promise<void> | void = () => {};

  pin(origin: string, history: HistoryPolicy): Promise<void> {
    this.pinned = { origin, history };
    return Promise.resolve();
  }
  read(): Promise<KeptRoom> {
    const base = this.kept.findLast((one) => one.type === "base");
    const checkpoints = this.kept.flatMap((one) => one.type === "checkpoint" ? [one.checkpoint] : [])
      .sort((one, other) => one.size - other.size);
    const lie = this.kept.findLast((one) => one.type === "lie");
    const bad = new Map(this.kept.flatMap((one) => one.type === "bad" ? [[one.index, one]] : []));
    const refused = this.kept.flatMap((one) => one.type === "refused" ? [one.leaf] : []);
    return Promise.resolve({ base, lines: [...this.lines], bad, checkpoints, lie, refused });
  }
  keep(kept: Kept): Promise<void> {
    this.kept.push(kept);
    if (kept.type === "line") this.lines.push({ line: kept.line, envelope: kept.envelope });
    if (kept.type === "erasure") {
      const line = this.lines[kept.index];
      if (line) this.lines[kept.index] = { ...line, envelope: null };
    }
    return Promise.resolve();
  }
  get unsent(): readonly UnsentLine[] {
    return [...this.#unsent.values()].sort((a, b) => a.key - b.key);
  }
  async putUnsent(line: UnsentLine): Promise<void> {
    await this.beforeUnsent();
    this.#unsent.set(line.key, line);
  }
  removeUnsent(key: number): Promise<void> {
    this.#unsent.delete(key);
    return Promise.resolve();
  }
  written(): Promise<void> {
    return Promise.resolve();
  }
}

/** All rooms. */
export class MemoryClientStore implements ClientStore {
  readonly records = new Map<string, MemoryRoomRecord>();
  readonly aside: MemoryRoomRecord[] = [];
  readonly certificates = new Map<string, string>();
  readonly pinned: Pin[] = [];
  readonly logRecords: JsonObject[] = [];
  serverLog(): Promise<readonly JsonObject[]> {
    return Promise.resolve([...this.logRecords]);
  }
  keepServerLog(records: readonly JsonObject[]): Promise<void> {
    this.logRecords.push(...records);
    return Promise.resolve();
  }
  joined: readonly string[] = [];
  owner: string | undefined;

  room(name: string): Promise<MemoryRoomRecord> {
    const record = this.records.get(name) ?? new MemoryRoomRecord();
    this.records.set(name, record);
    return Promise.resolve(record);
  }
  putAside(name: string): Promise<string> {
    const record = this.records.get(name);
    this.records.delete(name);
    if (record) this.aside.push(record);
    return Promise.resolve(`${name}~${this.aside.length}`);
  }
  rooms(): Promise<readonly string[]> {
    return Promise.resolve(this.joined);
  }
  keepRooms(names: readonly string[]): Promise<void> {
    this.joined = names;
    return Promise.resolve();
  }
  account(): Promise<string | undefined> {
    return Promise.resolve(this.owner);
  }
  certificate(fingerprint: string): Promise<string | undefined> {
    return Promise.resolve(this.certificates.get(fingerprint));
  }
  keepCertificate(fingerprint: string, pem: string): Promise<void> {
    this.certificates.set(fingerprint, pem);
    return Promise.resolve();
  }
  pins(): Promise<readonly Pin[]> {
    return Promise.resolve(this.pinned);
  }
  keepPin(pin: Pin): Promise<void> {
    this.pinned.push(pin);
    return Promise.resolve();
  }
}
