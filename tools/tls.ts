/** How `rooms`, and `chat --tls`, come to a server: over TLS, at TLS_PORT or behind SERVER_PORT. */

import { tlsDialOf } from "../lib/client_dial.ts";
import type { Config } from "../lib/config.ts";
import type { ConnectOptions, Link } from "../lib/transport.ts";
import { usage } from "./asking.ts";

/** The port of a server for TLS, and what connects to it. Failure (2) if TLS_PORT is off. */
export function tlsDialler(
  command: string,
  config: Config,
): { readonly port: number; readonly dial: (options: ConnectOptions) => Promise<Link> } {
  const { SERVER_HOST: host, SERVER_PORT, TLS_PORT, CERT_DIR: certs } = config;
  const port = TLS_PORT ?? SERVER_PORT + 1;
  if (port === "off") throw usage(command, "TLS_PORT is off, and this needs TLS: name the server's port for it");
  return { port, dial: tlsDialOf({ host, port, certs }) };
}
