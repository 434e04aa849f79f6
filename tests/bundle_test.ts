import fc from "fast-check";
import { assert } from "./assert.ts";
import { skipUnless, temporaryFolder } from "./environment.ts";
import {
  BUNDLE_README,
  BundleFault,
  encodeBundle,
  encodeHeader,
  isBundle,
  memberOf,
  type NewMember,
  type RandomAccess,
  readBundle,
  readMember,
  streamMember,
} from "../lib/bundle.ts";
import { type Bytes, concat, encodeUtf8, parseUtf8 } from "../lib/bytes.ts";

/** Bytes as a file. */
function fileOf(bytes: Bytes): RandomAccess {
  return { size: bytes.length, read: (at, size) => Promise.resolve(bytes.slice(at, at + size)) };
}

async function bundleOf(members: readonly NewMember[]): Promise<Bytes> {
  return concat(...await Array.fromAsync(encodeBundle(members)));
}

const text = (name: string, content = name) => memberOf(name, encodeUtf8(content));
const NAMES = [
  ...["README.txt", "receipt.json", "transcript.txt", "openings.txt", "log.json", "notes/1.note", "notes/20.note"],
  ...["notes/100.note", "tokens/1.1.tst", "tokens/1.2.tst", "tokens/20.1.tst", "tsa.pem", "ca.pem", "crl.pem"],
  ...["ticks.bin", "renewal/1.crl", "renewal/1.tst", "renewal/1.pem", "renewal/2.tst"],
];
const members = NAMES.map((name) => text(name));

const refused = async (bytes: Bytes, reason: RegExp) =>
  await assert.rejects(
    readBundle(fileOf(bytes)),
    (error) => error instanceof BundleFault && reason.test(error.message),
  );

Deno.test("readBundle() finds what encodeBundle() wrote, whatever its size", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 1_600 }), { minLength: 2, maxLength: 19 }),
      async (contents) => {
        const written = contents.map((bytes, at) => memberOf(NAMES[at] ?? "", new Uint8Array(bytes))).slice(0, 17);
        const file = fileOf(await bundleOf(written));
        const found = await readBundle(file);
        assert.deepEqual(found.map(({ name }) => name), written.map(({ name }) => name));
        for (const [at, member] of found.entries()) {
          assert.deepEqual(await readMember(file, member), written[at]?.content);
          const pieces = await Array.fromAsync(streamMember(file, member, 100));
          assert.deepEqual(concat(...pieces), written[at]?.content);
        }
      },
    ),
    { numRuns: 30 },
  );
});

Deno.test("no byte outside of the members' contents can be changed, added or taken away", async () => {
  const bytes = await bundleOf(members);
  const found = await readBundle(fileOf(bytes));
  const isContent = (at: number) => found.some((member) => at >= member.at && at < member.at + member.size);
  for (let at = 0; at < bytes.length; at++) {
    if (isContent(at)) continue;
    const changed = bytes.slice();
    changed[at] = (changed[at] ?? 0) ^ 1;
    await assert.rejects(readBundle(fileOf(changed)), (error) => error instanceof BundleFault, `byte ${at}`);
  }
  await refused(concat(bytes, new Uint8Array(1)), /nothing behind/);
  await refused(concat(bytes, new Uint8Array(512)), /nothing behind/);
  for (const size of [0, 1, 511, 512, 1_000, bytes.length - 512, bytes.length - 1]) {
    await assert.rejects(readBundle(fileOf(bytes.slice(0, size))), (error) => error instanceof BundleFault, `${size}`);
  }
});

Deno.test("members come in their order, each once, and tokens and renewals without a gap", async () => {
  const block = ({ name, content }: NewMember) => {
    const bytes = content as Bytes;
    return concat(encodeHeader(name, bytes.length), bytes, new Uint8Array((512 - bytes.length % 512) % 512));
  };
  const raw = (...all: NewMember[]) => concat(...all.map(block), new Uint8Array(1_024));
  const [readme, receipt] = members;
  assert(readme && receipt);
  await readBundle(fileOf(raw(readme, receipt)));
  await refused(raw(receipt, readme), /out of order/);
  await refused(raw(receipt), /doesn't begin/);
  await refused(raw(readme, receipt, receipt), /out of order/);
  await refused(raw(readme, receipt, text("notes/2.note"), text("notes/1.note")), /out of order/);
  await refused(raw(readme, receipt, text("notes/01.note")), /which no bundle has/);
  await refused(raw(readme, receipt, text("../x")), /which no bundle has/);
  await refused(raw(readme, receipt, text("tokens/1.2.tst")), /gap/);
  await refused(raw(readme, receipt, text("tokens/1.1.tst"), text("tokens/1.3.tst")), /gap/);
  await refused(raw(readme, receipt, text("renewal/2.tst")), /gap/);
  await refused(raw(readme, receipt, text("renewal/1.crl")), /gap/);
  await refused(raw(readme, receipt, text("renewal/1.tst"), text("renewal/1.crl")), /out of order/);
  await refused(raw(readme, receipt, text("tokens/1.1.tst", "x".repeat(4_097))), /too large/);
  await assert.rejects(bundleOf([receipt, readme]), BundleFault);
});

Deno.test("a header that says more than the file has is refused without reading it", async () => {
  const huge = concat(encodeHeader("README.txt", 6), encodeUtf8("readme"), new Uint8Array(506));
  await refused(concat(huge, encodeHeader("receipt.json", 16 * 1_048_576), new Uint8Array(1_024)), /cut off/);
});

Deno.test({
  name: "tar lists and unpacks a bundle, and makes no complaint",
  ...skipUnless("unix"),
  async fn() {
    using folder = temporaryFolder();
    await Deno.writeFile(`${folder.path}/x.evidence`, await bundleOf(members));
    const tar = new Deno.Command("tar", { args: ["xvf", "x.evidence"], cwd: folder.path });
    const { code, stdout, stderr } = await tar.output();
    assert.equal(parseUtf8(stderr), "");
    assert.equal(code, 0);
    assert.equal(parseUtf8(stdout), `${NAMES.join("\n")}\n`);
    for (const name of NAMES) assert.equal(await Deno.readTextFile(`${folder.path}/${name}`), name);
  },
});

Deno.test("a bundle is known by its beginning, and begins with words for who has never heard of it", async () => {
  assert(isBundle(await bundleOf(members)));
  assert(!isBundle(encodeUtf8("{}".padEnd(600))));
  assert(!isBundle(encodeUtf8("README.txt\0")));
  assert.match(BUNDLE_README, /^securechat evidence 1\n[^]*Nothing in here is trusted/);
});
