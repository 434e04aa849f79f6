/**
 * How `rooms`, and `chat --tls`, come to a server: over TLS, at TLS_PORT or behind SERVER_PORT, with the CAs of
 * CERT_DIR as they are at that moment.
 */

import type { Config } from "../lib/config.ts";
import { loadTrust } from "../lib/identity.ts";
import { type ConnectOptions, connectTls, type Link } from "../lib/transport.ts";
import { usage } from "./asking.ts";

/** The port of a server for TLS, and what connects to it. Failure (2) where TLS_PORT is off. */
export function tlsDialler(
  command: string,
  config: Config,
): { readonly port: number; readonly dial: (options: ConnectOptions) => Promise<Link> } {
  const { SERVER_HOST: host, SERVER_PORT, TLS_PORT = SERVER_PORT + 1, CERT_DIR } = config;
  if (TLS_PORT === "off") throw usage(command, "TLS_PORT is off, and this needs TLS: name the server's port for it");
  trustNobodyElse();
  const dial = async (options: ConnectOptions) => {
    const authorities = (await loadTrust(CERT_DIR)).authorities.map(({ pem }) => pem);
    return await connectTls(host, TLS_PORT, { ...options, authorities });
  };
  return { port: TLS_PORT, dial };
}

/**
 * The runtime would trust public CAs beside ours, and those of the system: which ones, it reads here at the first use.
 */
function trustNobodyElse(): void {
  Deno.env.set("DENO_TLS_CA_STORE", "");
  Deno.env.delete("DENO_CERT");
}
