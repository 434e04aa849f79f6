/**
 * What all connections of a server share.
 *
 * @layer outside
 */

import type { Identity } from "./certificate_identity.ts";
import type { Trust } from "./certificate_path.ts";
import type { Config } from "./config.ts";
import type { SummedLog } from "./logging_summary.ts";
import type { Hub } from "./room_hub.ts";
import type { ServerStore } from "./server_store.ts";
import type { Accounts } from "./server_accounts.ts";
import type { Audit } from "./server_audit.ts";
import type { SummedAudit } from "./server_audit_summary.ts";
import type { ServerClock } from "./server_clock.ts";
import type { Deadlines } from "./server_deadline.ts";
import type { Devices } from "./server_devices.ts";
import type { CreateJournalFile } from "./server_journal.ts";
import type { LogService } from "./server_log_service.ts";
import type { MemberLimits } from "./server_limits.ts";
import type { Places } from "./server_places.ts";
import type { Spool } from "./server_spool.ts";
import type { Turns } from "./server_turns.ts";

/** The parts of a server that its connections use. */
export interface Shared {
  readonly config: Config;
  readonly log: SummedLog;
  /** The certificate of this moment: a renewed one is taken up while the server runs. */
  readonly identity: () => Identity;
  readonly trust: () => Promise<Trust>;
  readonly store: ServerStore;
  readonly accounts: Accounts;
  readonly audit: Audit;
  /** Where audit rows of people go. */
  readonly rows: SummedAudit;
  readonly spool: Spool;
  readonly deadlines: Deadlines;
  /** The folder of the journals. */
  readonly journals: string;
  readonly devices: Devices;
  readonly hub: Hub;
  /** The server's log; `undefined` if the server runs without one. */
  readonly serverLog: LogService | undefined;
  readonly turns: Turns;
  readonly limits: MemberLimits;
  readonly clock: ServerClock;
  readonly places: Places;
  readonly createJournalFile: CreateJournalFile | undefined;
}
