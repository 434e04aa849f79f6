/**
 * Three things that only the C library can do, through FFI on Linux with glibc. Elsewhere, and if FFI isn't permitted,
 * nothing happens, and the problems described here remain.
 *
 * **Large blocks of memory go back to the system when they are freed** (mallopt(3)). A password hash takes 16 MiB on
 * whichever of the runtime's threads is free. glibc keeps such a block for the thread's arena once one of its size has
 * been freed, so after some hundred logins every arena (8 for each core) holds 16 MiB: 400 MB on two cores, measured,
 * and gigabytes on thirty. With a fixed threshold such blocks come from mmap and are returned: 110 MB in the same run.
 *
 * **What is sent over TLS leaves at once** (TCP_NODELAY, tcp(7)). The runtime has no way to say so for a connection
 * that a listener for TLS accepts, and without it a second small write within 40 ms waits for the client's delayed
 * acknowledgement of the first. On Linux accepted sockets inherit the option from the listening socket.
 *
 * **A socket whose TLS handshake never ends is shut down** (shutdown(2)). The runtime's `close` of such a connection
 * returns at once and leaves the socket open until the peer closes it. {@link SocketTable} finds it by its peer's
 * address and port. This one works on macOS too.
 *
 * @layer outside
 */

const LIBC = "libc.so.6";

const M_MMAP_THRESHOLD = -3;
/** 1 MiB: a hash needs more, the buffers of a connection need less. */
const THRESHOLD = 1 << 20;

/** Does the first, for the whole process. */
export function returnLargeBlocks(): void {
  withLibc({ mallopt: { parameters: ["i32", "i32"], result: "i32" } }, ({ mallopt }) => {
    mallopt(M_MMAP_THRESHOLD, THRESHOLD);
  });
}

// socket(7), tcp(7); the same numbers on x64 and arm64.
const SOL_SOCKET = 1;
const SO_ACCEPTCONN = 30;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;

const OPTION = ["i32", "i32", "i32", "buffer"] as const;

/** Does the second, for connections that this process accepts on that port from now on. */
export function sendAtOnce(port: number): void {
  const symbols = {
    getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
    getsockopt: { parameters: [...OPTION, "buffer"], result: "i32" },
    setsockopt: { parameters: [...OPTION, "u32"], result: "i32" },
  } as const;
  withLibc(symbols, ({ getsockname, getsockopt, setsockopt }) => {
    const [value, size] = [new Int32Array(1), new Uint32Array(1)];
    const address = new DataView(new ArrayBuffer(128));
    for (const { name } of Deno.readDirSync("/proc/self/fd")) {
      const fd = Number(name);
      size[0] = value.byteLength;
      if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, value, size) !== 0 || value[0] !== 1) continue;
      size[0] = address.byteLength;
      // The port is at the same place for IPv4 and IPv6.
      if (getsockname(fd, address, size) !== 0 || address.getUint16(2) !== port) continue;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, Int32Array.of(1), value.byteLength);
    }
  });
}

/** The two ends of a connection, as a key: `10.0.0.7|40312`. */
export function peerKey({ hostname, port }: Pick<Deno.NetAddr, "hostname" | "port">): string {
  return `${addressHex(hostname)}|${port}`;
}

/** An address's bytes in hex; an IPv4 address in its IPv6 form is the IPv4 address. */
function addressHex(address: string): string {
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");
  const quad = /(?:^|:)([0-9]+)\.([0-9]+)\.([0-9]+)\.([0-9]+)$/.exec(address);
  if (quad) return quad.slice(1).map((part) => hex(Number(part), 2)).join("");
  const [before = [], after = []] = address.replace(/%.*$/, "").split("::")
    .map((half) => half === "" ? [] : half.split(":"));
  const zeros = Array<string>(Math.max(0, 8 - before.length - after.length)).fill("0");
  return withoutMapping([...before, ...zeros, ...after].map((part) => hex(parseInt(part, 16), 4)).join(""));
}

function withoutMapping(address: string): string {
  return address.startsWith(MAPPED) ? address.slice(MAPPED.length) : address;
}

const MAPPED = `${"0".repeat(20)}ffff`;
const SHUT_RDWR = 2;

const SOCKET_SYMBOLS = {
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
} as const;

/** The open sockets of this process, as the system knows them. */
export class SocketTable {
  readonly #library: Deno.DynamicLibrary<typeof SOCKET_SYMBOLS>;
  readonly #address = new DataView(new ArrayBuffer(128));
  readonly #size = new Uint32Array(1);

  private constructor(library: Deno.DynamicLibrary<typeof SOCKET_SYMBOLS>) {
    this.#library = library;
  }

  /** `undefined` if the system can't be asked. */
  static open(): SocketTable | undefined {
    const library = openLibc(SOCKET_SYMBOLS, { linux: LIBC, darwin: "libSystem.B.dylib" });
    return library && new SocketTable(library);
  }

  /** The descriptors of connections that were accepted on this port, by {@link peerKey}. */
  accepted(port: number): Map<string, number> {
    const { getsockname } = this.#library.symbols;
    const found = new Map<string, number>();
    for (const { name } of Deno.readDirSync(Deno.build.os === "linux" ? "/proc/self/fd" : "/dev/fd")) {
      const fd = Number(name);
      this.#size[0] = this.#address.byteLength;
      if (getsockname(fd, this.#address, this.#size) !== 0 || this.#address.getUint16(2) !== port) continue;
      const peer = this.#peerOf(fd);
      if (peer !== undefined) found.set(peer, fd);
    }
    return found;
  }

  #peerOf(fd: number): string | undefined {
    this.#size[0] = this.#address.byteLength;
    if (this.#library.symbols.getpeername(fd, this.#address, this.#size) !== 0) return undefined;
    const isV4 = this.#size[0] === 16;
    const bytes = new Uint8Array(this.#address.buffer, isV4 ? 4 : 8, isV4 ? 4 : 16);
    return `${withoutMapping([...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(""))}|${
      this.#address.getUint16(2)
    }`;
  }

  /** Ends both directions: code that waits for the peer learns at once that nothing will come. */
  shutDown(fd: number): void {
    this.#library.symbols.shutdown(fd, SHUT_RDWR);
  }

  close(): void {
    this.#library.close();
  }
}

function withLibc<Symbols extends Deno.ForeignLibraryInterface>(
  symbols: Symbols,
  use: (functions: Deno.DynamicLibrary<Symbols>["symbols"]) => void,
): void {
  const library = openLibc(symbols, { linux: LIBC });
  if (!library) return;
  use(library.symbols);
  library.close();
}

function openLibc<Symbols extends Deno.ForeignLibraryInterface>(
  symbols: Symbols,
  names: Partial<Record<typeof Deno.build.os, string>>,
): Deno.DynamicLibrary<Symbols> | undefined {
  const name = names[Deno.build.os];
  if (name === undefined || Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return undefined;
  try {
    return Deno.dlopen(name, symbols);
  } catch {
    return undefined; // a C library other than glibc
  }
}
