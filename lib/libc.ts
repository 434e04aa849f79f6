/**
 * Two things that only the C library can be asked for, through FFI on Linux with glibc; elsewhere, and where that isn't
 * permitted, nothing happens, and what is said here stays as it is.
 *
 * **Large blocks of memory go back to the system when they are freed** (mallopt(3)). A password hash takes 16 MiB on
 * whichever of the runtime's threads is free. glibc keeps such a block for the thread's arena once one of its size has
 * been freed, so after some hundred logins every arena (8 for each core) holds 16 MiB: 400 MB on two cores, measured, and
 * gigabytes on thirty. With a fixed threshold such blocks come from mmap and are returned: 110 MB in the same run.
 *
 * **What is sent over TLS leaves at once** (TCP_NODELAY, tcp(7)). The runtime has no way to say so for a connection that
 * a listener for TLS accepts, and without it a second small write within 40 ms waits for the client's delayed
 * acknowledgement of the first. Linux hands the option from a listening socket on to what it accepts.
 *
 * @layer outside
 */

const LIBC = "libc.so.6";

const M_MMAP_THRESHOLD = -3;
/** 1 MiB: a hash lies above it, what a connection buffers below. */
const THRESHOLD = 1 << 20;

/** Asks for the first, for the whole process. */
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

/** Asks for the second, for what the listener of this process on that port accepts from now on. */
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
      // The port stands in the same place for IPv4 and IPv6.
      if (getsockname(fd, address, size) !== 0 || address.getUint16(2) !== port) continue;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, Int32Array.of(1), value.byteLength);
    }
  });
}

function withLibc<Symbols extends Deno.ForeignLibraryInterface>(
  symbols: Symbols,
  use: (functions: Deno.DynamicLibrary<Symbols>["symbols"]) => void,
): void {
  if (Deno.build.os !== "linux" || Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return;
  let library: Deno.DynamicLibrary<Symbols>;
  try {
    library = Deno.dlopen(LIBC, symbols);
  } catch {
    return; // another C library than glibc
  }
  use(library.symbols);
  library.close();
}
