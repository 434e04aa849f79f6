/**
 * Connects a client to a server over TLS, with the CAs of a folder as they are at that moment.
 *
 *     const dial = tlsDialOf({ host: "chat.example.org", port: 5001, certs: "certs" });
 *     const link = await dial({ timeout: 10_000, maxQueued: 8 * 1024 * 1024 });
 *
 * @layer outside
 */

import { loadTrust } from "./identity.ts";
import { type ConnectOptions, connectTls, type Link } from "./transport.ts";

/** Where a server is, and who signs its certificate. */
export interface TlsPlace {
  /** The server's name, as its certificate has it. */
  readonly host: string;
  /** The server's port for TLS. */
  readonly port: number;
  /** CERT_DIR: the folder with the CA. */
  readonly certs: string;
}

/** What connects to that server. */
export function tlsDialOf({ host, port, certs }: TlsPlace): (options: ConnectOptions) => Promise<Link> {
  trustNobodyElse();
  return async (options) => {
    const authorities = (await loadTrust(certs)).authorities.map(({ pem }) => pem);
    return await connectTls(host, port, { ...options, authorities });
  };
}

/**
 * Without this the runtime would trust public CAs and those of the system beside ours. It reads these variables when
 * TLS is used for the first time.
 */
function trustNobodyElse(): void {
  Deno.env.set("DENO_TLS_CA_STORE", "");
  Deno.env.delete("DENO_CERT");
}
