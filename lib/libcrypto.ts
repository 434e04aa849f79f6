/**
 * OpenSSL's libcrypto, version 3, through FFI, where the system has it: an {@link Engine}.
 *
 *     useEngine(openLibcrypto());      nothing changes if there is none
 *
 * Measured (µs, the runtime's own way | this one): a verification 47 | 19, a signature 2,000 | 250, SHA-256 of a line
 * 3.2 | 0.6, a power in group 14 660 | 280. Verification is most of what a posted line costs, and the powers and
 * signatures most of a handshake.
 *
 * The library is the one that the system's own programs use, found by the system's loader; nothing is bundled, and on
 * other systems than Linux nothing is looked for. Before it is used it computes known answers; one that is wrong, or a
 * call that fails where none can, and it is left alone. Secret exponents are freed with `BN_clear_free`; their powers
 * take `BN_mod_exp_mont_consttime`.
 *
 * @layer outside
 */

import { type Bytes, encodeHex, encodeInteger, encodeUtf8, freshBytes, parseHex, parseInteger } from "./bytes.ts";
import { encodeCount, encodeDer, TAG } from "./der.ts";
import type { Engine, Verify } from "./engine.ts";

/** Its name for the loader. The functions below are not those of version 1.1. */
const NAME = "libcrypto.so.3";

const POINTER = { parameters: [], result: "pointer" } as const;

const SYMBOLS = {
  EVP_MD_fetch: { parameters: ["pointer", "buffer", "pointer"], result: "pointer" },
  EVP_Digest: { parameters: ["buffer", "usize", "buffer", "pointer", "pointer", "pointer"], result: "i32" },
  EVP_sha256: POINTER,
  d2i_PublicKey: { parameters: ["i32", "pointer", "buffer", "i64"], result: "pointer" },
  d2i_AutoPrivateKey: { parameters: ["pointer", "buffer", "i64"], result: "pointer" },
  EVP_PKEY_free: { parameters: ["pointer"], result: "void" },
  EVP_PKEY_CTX_new: { parameters: ["pointer", "pointer"], result: "pointer" },
  EVP_PKEY_CTX_free: { parameters: ["pointer"], result: "void" },
  EVP_PKEY_verify_init: { parameters: ["pointer"], result: "i32" },
  EVP_PKEY_sign_init: { parameters: ["pointer"], result: "i32" },
  EVP_PKEY_CTX_set_rsa_padding: { parameters: ["pointer", "i32"], result: "i32" },
  EVP_PKEY_CTX_set_rsa_pss_saltlen: { parameters: ["pointer", "i32"], result: "i32" },
  EVP_PKEY_CTX_set_signature_md: { parameters: ["pointer", "pointer"], result: "i32" },
  EVP_PKEY_verify: { parameters: ["pointer", "buffer", "usize", "buffer", "usize"], result: "i32" },
  EVP_PKEY_sign: { parameters: ["pointer", "buffer", "buffer", "buffer", "usize"], result: "i32" },
  ERR_clear_error: { parameters: [], result: "void" },
  EVP_CIPHER_CTX_new: POINTER,
  EVP_aes_128_cbc: POINTER,
  EVP_DecryptInit_ex: { parameters: ["pointer", "pointer", "pointer", "buffer", "buffer"], result: "i32" },
  EVP_DecryptUpdate: { parameters: ["pointer", "buffer", "buffer", "buffer", "i32"], result: "i32" },
  EVP_DecryptFinal_ex: { parameters: ["pointer", "buffer", "buffer"], result: "i32" },
  BN_new: POINTER,
  BN_clear_free: { parameters: ["pointer"], result: "void" },
  BN_bin2bn: { parameters: ["buffer", "i32", "pointer"], result: "pointer" },
  BN_bn2binpad: { parameters: ["pointer", "buffer", "i32"], result: "i32" },
  BN_set_flags: { parameters: ["pointer", "i32"], result: "void" },
  BN_CTX_new: POINTER,
  BN_MONT_CTX_new: POINTER,
  BN_MONT_CTX_set: { parameters: ["pointer", "pointer", "pointer"], result: "i32" },
  BN_mod_exp_mont_consttime: {
    parameters: ["pointer", "pointer", "pointer", "pointer", "pointer", "pointer"],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

type Symbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

const EVP_PKEY_RSA = 6;
const RSA_PKCS1_PSS_PADDING = 6;
const BN_FLG_CONSTTIME = 4;
const EXPONENT = 65_537n;
const HASH_SIZE = 32;
const HASH_LENGTH = BigInt(HASH_SIZE);
/** That of a key of 4096 bits. */
const MAX_SIGNATURE = 512;

/** Keys that are kept ready, some 4 KiB each: more authors than post at the same time in most places. */
const MAX_KEYS = 512;
/** Longer inputs are copied into a buffer of their own. */
const SCRATCH_SIZE = 65_536;

/** The library; `undefined` if the system has none, it may not be called, or its answers are wrong. */
export function openLibcrypto(): Engine | undefined {
  // Asked for, and not tried: a program that may not call it must not make the runtime ask its user.
  if (Deno.build.os !== "linux" || Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return undefined;
  try {
    const engine = new Libcrypto(Deno.dlopen(NAME, SYMBOLS).symbols);
    return knowsItsAnswers(engine) ? engine : undefined;
  } catch {
    return undefined;
  }
}

/** A key in the library's memory, and how it is used. */
interface NativeKey {
  readonly key: Deno.PointerObject;
  readonly context: Deno.PointerObject;
}

/** A number for a modulus, and its Montgomery form. */
interface Modulus {
  readonly number: Deno.PointerObject;
  readonly form: Deno.PointerObject;
}

class Libcrypto implements Engine {
  readonly #lib: Symbols;
  // What the library writes to is moved out of the runtime's heap, which costs more than the copy for a caller.
  readonly #scratch = new Uint8Array(SCRATCH_SIZE);
  readonly #hash = new Uint8Array(HASH_SIZE);
  /** Looked up once: SHA256() of the library looks it up each time, which takes longer than to hash a short input. */
  readonly #sha256: Deno.PointerObject;
  /** The keys that are ready, by whose they are, in the order of their last use. */
  readonly #ready = new Map<Verify, NativeKey>();
  /** By their hex; there are two groups. */
  readonly #moduli = new Map<string, Modulus>();
  /** Exponents are freed when nobody can use them any more. */
  readonly #secrets = new FinalizationRegistry<Deno.PointerObject>((secret) => this.#lib.BN_clear_free(secret));
  #numbers: Deno.PointerObject | undefined;
  #cipher: Deno.PointerObject | undefined;
  /** Where the cipher says how much it has written. */
  readonly #length = new Int32Array(1);

  constructor(lib: Symbols) {
    this.#lib = lib;
    this.#sha256 = must(lib.EVP_MD_fetch(null, encodeUtf8("SHA256\0"), null));
  }

  sha256(parts: readonly Uint8Array[]): Bytes {
    let size = 0;
    for (const part of parts) size += part.length;
    const input = size <= SCRATCH_SIZE ? this.#scratch : new Uint8Array(size);
    let at = 0;
    for (const part of parts) {
      input.set(part, at);
      at += part.length;
    }
    if (this.#lib.EVP_Digest(input, BigInt(size), this.#hash, null, this.#sha256, null) !== 1) throw failed();
    input.fill(0, 0, size); // what was hashed may be a secret
    const hash = freshBytes(HASH_SIZE);
    hash.set(this.#hash);
    return hash;
  }

  verifier(modulus: bigint, salt: number): Verify {
    const verify: Verify = (signature, hash) => {
      let key = this.#ready.get(verify);
      if (key) this.#ready.delete(verify); // it goes to the end
      else key = this.#verifying(modulus, salt);
      this.#ready.set(verify, key);
      if (this.#ready.size > MAX_KEYS) this.#freeOldest();
      const length = BigInt(signature.length);
      if (this.#lib.EVP_PKEY_verify(key.context, plain(signature), length, hash, HASH_LENGTH) === 1) return true;
      this.#lib.ERR_clear_error();
      return false;
    };
    return verify;
  }

  #verifying(modulus: bigint, salt: number): NativeKey {
    const lib = this.#lib;
    const der = encodeDer(TAG.sequence, encodeCount(modulus), encodeCount(EXPONENT));
    const key = must(lib.d2i_PublicKey(EVP_PKEY_RSA, null, addressOf(der), BigInt(der.length)));
    return { key, context: this.#context(key, salt, (context) => lib.EVP_PKEY_verify_init(context)) };
  }

  #context(key: Deno.PointerObject, salt: number, begin: (context: Deno.PointerObject) => number): Deno.PointerObject {
    const lib = this.#lib;
    const context = must(lib.EVP_PKEY_CTX_new(key, null));
    const isReady = begin(context) === 1 &&
      lib.EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) === 1 &&
      lib.EVP_PKEY_CTX_set_rsa_pss_saltlen(context, salt) === 1 &&
      lib.EVP_PKEY_CTX_set_signature_md(context, lib.EVP_sha256()) === 1;
    if (!isReady) throw failed();
    return context;
  }

  #freeOldest(): void {
    const [oldest] = this.#ready;
    if (!oldest) return;
    const [verify, { key, context }] = oldest;
    this.#ready.delete(verify);
    this.#lib.EVP_PKEY_CTX_free(context);
    this.#lib.EVP_PKEY_free(key);
  }

  signer(pkcs8: Bytes, salt: number): (hash: Bytes) => Bytes {
    const lib = this.#lib;
    const key = must(lib.d2i_AutoPrivateKey(null, addressOf(pkcs8), BigInt(pkcs8.length)));
    const context = this.#context(key, salt, (context) => lib.EVP_PKEY_sign_init(context));
    return (hash) => {
      const signature = new Uint8Array(MAX_SIGNATURE);
      const length = BigUint64Array.of(BigInt(MAX_SIGNATURE));
      if (lib.EVP_PKEY_sign(context, signature, length, hash, HASH_LENGTH) !== 1) throw failed();
      return signature.slice(0, Number(length[0]));
    };
  }

  decrypt(key: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array): Bytes | undefined {
    const lib = this.#lib;
    if (!this.#cipher) {
      this.#cipher = must(lib.EVP_CIPHER_CTX_new());
      // Named once: every later call sets its own key and IV.
      if (lib.EVP_DecryptInit_ex(this.#cipher, lib.EVP_aes_128_cbc(), null, null, null) !== 1) throw failed();
    }
    const [cipher, length] = [this.#cipher, this.#length];
    const plaintext = ciphertext.length <= SCRATCH_SIZE ? this.#scratch : new Uint8Array(ciphertext.length);
    const isOpen = lib.EVP_DecryptInit_ex(cipher, null, null, plain(key), plain(iv)) === 1 &&
      lib.EVP_DecryptUpdate(cipher, plaintext, length, plain(ciphertext), ciphertext.length) === 1;
    if (!isOpen) throw failed();
    const end = length[0] ?? 0;
    const isPadded = lib.EVP_DecryptFinal_ex(cipher, plaintext.subarray(end), length) === 1;
    const opened = freshBytes(end + (length[0] ?? 0));
    opened.set(plaintext.subarray(0, opened.length));
    plaintext.fill(0, 0, ciphertext.length);
    if (isPadded) return opened;
    lib.ERR_clear_error();
    return undefined;
  }

  powers(exponent: Bytes, modulus: Bytes): (base: Bytes) => Bytes {
    const lib = this.#lib;
    const { number, form } = this.#modulus(modulus);
    const secret = this.#number(exponent);
    exponent.fill(0);
    lib.BN_set_flags(secret, BN_FLG_CONSTTIME);
    const powers = (base: Bytes) => {
      const [value, result] = [this.#number(base), must(lib.BN_new())];
      const power = new Uint8Array(modulus.length);
      const isDone = lib.BN_mod_exp_mont_consttime(result, value, secret, number, this.#workspace(), form) === 1 &&
        lib.BN_bn2binpad(result, power, power.length) === power.length;
      for (const used of [value, result]) lib.BN_clear_free(used);
      if (!isDone) throw failed();
      return power;
    };
    this.#secrets.register(powers, secret);
    return powers;
  }

  #modulus(modulus: Bytes): Modulus {
    const name = encodeHex(modulus);
    const known = this.#moduli.get(name);
    if (known) return known;
    const lib = this.#lib;
    const made = { number: this.#number(modulus), form: must(lib.BN_MONT_CTX_new()) };
    if (lib.BN_MONT_CTX_set(made.form, made.number, this.#workspace()) !== 1) throw failed();
    this.#moduli.set(name, made);
    return made;
  }

  #number(bytes: Bytes): Deno.PointerObject {
    return must(this.#lib.BN_bin2bn(bytes, bytes.length, null));
  }

  #workspace(): Deno.PointerObject {
    return this.#numbers ??= must(this.#lib.BN_CTX_new());
  }
}

/** For the types: the bytes of a shared buffer would not be passed, and there are none. */
function plain(bytes: Uint8Array): Bytes {
  return bytes as Bytes;
}

/** The address of bytes, in a cell of its own: functions that read DER move it on. */
function addressOf(bytes: Bytes): BigUint64Array<ArrayBuffer> {
  return BigUint64Array.of(Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)));
}

function must(pointer: Deno.PointerValue): Deno.PointerObject {
  if (!pointer) throw failed();
  return pointer;
}

function failed(): Error {
  return new Error("a function of libcrypto failed that can't"); // for want of memory, or in another library
}

/** A key of 640 bits that is good for nothing else, and its signature over "known answer" with a salt of 46 bytes. */
const KNOWN = {
  modulus: BigInt(
    "0xf7583f1cba6bb859ee42f30be0524a122163251a1e6b3a16ccc7a00cc0a9f6ee03cbfb2646c6d4fe1c40844d911751fa" +
      "909b9b9ce681f6149ae45c0f32c01b6c61fe4d32728840ff75c06ce9edff3895",
  ),
  salt: 46,
  text: "known answer",
  signature: "9d013220432508f93b5a1274dbc9c4ae35afb15767fbd42f9ac3ef8789b25a62240a9adceb44150ee8b88943e9f07b1d" +
    "7989d739502df1b55dfbaf82a614d8e508ebccc4d86a3f7cb6f4feaf86e961ba",
  /** SHA-256("abc"), FIPS 180-4. */
  hash: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
} as const;

/** Whether what is known comes out as it is known. */
function knowsItsAnswers(engine: Engine): boolean {
  const { modulus, salt, text, signature, hash } = KNOWN;
  const good = parseHex(signature) ?? new Uint8Array();
  const bad = good.with(-1, 0);
  const verify = engine.verifier(modulus, salt);
  const message = engine.sha256([encodeUtf8(text)]);
  const [base, exponent] = [encodeInteger(3n, 80), encodeInteger(EXPONENT, 32)];
  const power = engine.powers(exponent, encodeInteger(modulus, 80))(base);
  return encodeHex(engine.sha256([encodeUtf8("a"), encodeUtf8("bc")])) === hash &&
    verify(good, message) && !verify(bad, message) &&
    parseInteger(power) === powerOfThree(modulus);
}

/** 3^65537 by squaring. */
function powerOfThree(modulus: bigint): bigint {
  let power = 3n;
  for (let i = 0; i < 16; i++) power = power * power % modulus;
  return power * 3n % modulus;
}
