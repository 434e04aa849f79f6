/**
 * Large blocks of memory go back to the system when they are freed.
 *
 * A password hash takes 16 MiB on whichever of the runtime's threads is free. glibc keeps such a block for the thread's
 * arena once one of its size has been freed, so after some hundred logins every arena (8 for each core) holds 16 MiB:
 * 400 MB on two cores, measured, and gigabytes on thirty. With a fixed threshold such blocks come from mmap and are
 * returned: 110 MB in the same run. It is a call into the C library (mallopt(3)), and no loss where there is another.
 */

const M_MMAP_THRESHOLD = -3;
/** 1 MiB: a hash lies above it, what a connection buffers below. */
const THRESHOLD = 1 << 20;

/** Asks the C library for it, for the whole process. */
export function returnLargeBlocks(): void {
  if (Deno.build.os !== "linux") return;
  try {
    const libc = Deno.dlopen("libc.so.6", { mallopt: { parameters: ["i32", "i32"], result: "i32" } });
    libc.symbols.mallopt(M_MMAP_THRESHOLD, THRESHOLD);
    libc.close();
  } catch {
    // Another C library than glibc, or no permission to call it.
  }
}
