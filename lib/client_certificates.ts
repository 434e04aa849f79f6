/**
 * The certificates that a client has seen, in all rooms of a server: from its disk, or asked of the server once and
 * kept. What they are worth is judged in `client_author_certificates.ts`.
 *
 * @layer chat
 */

import type { RoomEvent } from "./client_event.ts";
import type { OwnCertificate } from "./client_outbox.ts";
import type { ClientStore } from "./client_store.ts";
import { ProtocolError } from "./errors.ts";
import { parseCertificates } from "./x509.ts";

/** What certificates come from, and where they are kept. */
export interface ClientCertificatesOptions {
  readonly own: OwnCertificate;
  readonly store: Pick<ClientStore, "certificate" | "keepCertificate">;
  /** Asks the server; `undefined` if it has none of that fingerprint. */
  readonly ask: (fingerprint: string) => Promise<string | undefined>;
  readonly emit: (event: RoomEvent) => void;
}

/** The certificates of a client. */
export class ClientCertificates {
  readonly #options: ClientCertificatesOptions;
  #own: OwnCertificate;
  readonly #known = new Map<string, Promise<string | undefined>>();

  constructor(options: ClientCertificatesOptions) {
    this.#options = options;
    this.#own = options.own;
  }

  /** This client goes on with another certificate. */
  become(own: OwnCertificate): void {
    this.#own = own;
  }

  /**
   * A certificate as PEM with its intermediates; `undefined` if the server has none. Rejects if it can't be had now, and
   * is asked for again later.
   */
  get(fingerprint: string): Promise<string | undefined> {
    const known = this.#known.get(fingerprint);
    if (known) return known;
    const asked = this.#find(fingerprint);
    this.#known.set(fingerprint, asked);
    const forget = () => this.#known.delete(fingerprint);
    asked.then((pem) => pem ?? forget(), forget);
    return asked;
  }

  async #find(fingerprint: string): Promise<string | undefined> {
    const { store, emit, ask } = this.#options;
    const kept = await store.certificate(fingerprint);
    if (kept !== undefined && readCertificate(kept, fingerprint) === kept) return kept;
    let pem: string | undefined = this.#own.pem; // kept as well: under a later one, its lines are to be shown too
    if (fingerprint !== this.#own.fingerprint) {
      const answer = await ask(fingerprint);
      pem = answer === undefined ? undefined : readCertificate(answer, fingerprint);
      if (pem === undefined) return undefined;
    }
    await store.keepCertificate(fingerprint, pem).catch(() => {
      emit({ event: "warning", message: "A certificate could not be noted on the disk." });
    });
    return pem;
  }
}

/**
 * The certificate of that fingerprint and what follows it, in the one spelling that a receipt may have of it, however
 * the server spells it; `undefined` if the text is anything else.
 */
function readCertificate(text: string, fingerprint: string): string | undefined {
  try {
    const chain = parseCertificates(text);
    return chain[0]?.fingerprint === fingerprint ? chain.map(({ pem }) => pem).join("") : undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}
