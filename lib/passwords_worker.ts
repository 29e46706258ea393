/** The Worker in which passwords are hashed, so that no call waits for it: one at a time, as `passwords.ts` asks. */

/// <reference lib="deno.worker" />

import { argon2id, argon2Verify } from "hash-wasm";
import type { PasswordCost } from "./passwords.ts";

/** What the main thread asks; the next question comes after the answer. */
export type ToHasher =
  | { readonly type: "hash"; readonly password: string; readonly cost: PasswordCost }
  | { readonly type: "verify"; readonly password: string; readonly hash: string };

export type FromHasher =
  | { readonly type: "hashed"; readonly hash: string }
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

function post(message: FromHasher): void {
  self.postMessage(message);
}
