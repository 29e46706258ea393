/** The Worker in which passwords are hashed, so that no call waits for it: one at a time, as `passwords.ts` asks. */

/// <reference lib="deno.worker" />

import { argon2id, argon2Verify } from "hash-wasm";
import type { PasswordCost } from "./passwords.ts";

/** What the main thread asks; the next question comes after the answer. */
export type ToHasher =
  | {
    readonly type: "hash";
    readonly password: string;
    readonly cost: PasswordCost;
    /** True: a common one is refused. */
    readonly isNew?: boolean;
  }
  | { readonly type: "verify"; readonly password: string; readonly hash: string };

export type FromHasher =
  | { readonly type: "hashed"; readonly hash: string }
  | { readonly type: "common" }
  | { readonly type: "verified"; readonly isRight: boolean }
  | { readonly type: "failed"; readonly message: string };

const SALT_BYTES = 16; // RFC 9106 3.1
const HASH_BYTES = 32;

self.onmessage = ({ data }: MessageEvent<ToHasher>) => {
  answer(data).then(post, (error: unknown) => post({ type: "failed", message: String(error) }));
};

async function answer(asked: ToHasher): Promise<FromHasher> {
  const { password } = asked;
  if (asked.type === "verify") {
    return { type: "verified", isRight: await argon2Verify({ password, hash: asked.hash }) };
  }
  if (asked.isNew === true && await isCommon(password)) return { type: "common" };
  const hash = await argon2id({
    password,
    salt: crypto.getRandomValues(new Uint8Array(SALT_BYTES)),
    memorySize: asked.cost.memoryKiB,
    iterations: asked.cost.passes,
    parallelism: asked.cost.lanes,
    hashLength: HASH_BYTES,
    outputType: "encoded",
  });
  return { type: "hashed", hash };
}

/** Whether whoever guesses would try it among the first (NIST SP 800-63B 3.1.1.2), once or over and over. */
async function isCommon(password: string): Promise<boolean> {
  const list = await (common ??= loadCommon());
  const text = password.toLowerCase();
  const unit = /^(.+?)\1*$/su.exec(text)?.[1] ?? text; // "abcabcabc" is "abc"
  return list.has(text) || list.has(unit) || unit.length < UNIT_MIN;
}
/** 50,000, of leaks; loaded when somebody chooses a password: 4 MB of heap, and 80 ms of this Worker. */
let common: Promise<ReadonlySet<string>> | null = null;
/** A few characters over and over are no secret. */
const UNIT_MIN = 4;

async function loadCommon(): Promise<ReadonlySet<string>> {
  const { default: passwords } = await import("@zxcvbn-ts/language-common/src/passwords.json", {
    with: { type: "json" },
  });
  return new Set(passwords);
}

function post(message: FromHasher): void {
  self.postMessage(message);
}
