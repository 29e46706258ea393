/** How two machines prove to each other which boots they are, over a socket that neither trusts yet. Pure. */

import { createHmac, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import type { Boot } from "@/db/cluster.ts";
import type { Secret } from "@/lib/secret.ts";

/** The header of the upgrade in which the one who opens says who it is, and whom it means. */
export const HELLO_HEADER = "x-ringmaster-link";

const boot = z.object({ nodeId: z.string().min(1).max(64), incarnation: z.int().positive() });
const nonce = z.string().length(43);
/** HMAC-SHA256 in base64url. */
const proof = z.string().length(43);

export const Hello = z.object({ from: boot, to: boot, nonce, proof });
/** The answer of the one who was called: it has the key of `to`, and says what is to be signed. */
export const Challenge = z.object({ nonce, proof });
export const Answer = z.object({ proof });

export type Hello = z.infer<typeof Hello>;
export type Challenge = z.infer<typeof Challenge>;
export type Answer = z.infer<typeof Answer>;

/** Both boots and both nonces: what was said of others, or once before, proves nothing here. */
export interface Meeting {
  /** Who opened the socket. */
  readonly from: Boot;
  readonly to: Boot;
  readonly fromNonce: string;
  /** Empty in the hello: the other's is not known yet. */
  readonly toNonce: string;
}

/** `hello` and `answer` are said by `from`, `challenge` by `to`, each with its own key. */
export type Part = "hello" | "challenge" | "answer";

export function prove(key: Secret, part: Part, { from, to, fromNonce, toNonce }: Meeting): string {
  const said = [part, from.nodeId, from.incarnation, to.nodeId, to.incarnation, fromNonce, toNonce];
  return createHmac("sha256", key.reveal()).update(JSON.stringify(said)).digest("base64url");
}

export function isProven(key: Secret, part: Part, meeting: Meeting, shown: string): boolean {
  const [a, b] = [prove(key, part, meeting), shown].map((text) => new TextEncoder().encode(text));
  return a !== undefined && b !== undefined && a.length === b.length && timingSafeEqual(a, b);
}

export function helloHeader(hello: Hello): string {
  return btoa(JSON.stringify(hello));
}

/** Null: it is none. */
export function parseHello(header: string | undefined): Hello | null {
  return parse(Hello, unpacked(header ?? ""));
}

/** Null: it is not of this schema. */
export function parse<T>(schema: z.ZodType<T>, text: string | null): T | null {
  try {
    return text === null ? null : schema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

const HELLO_CHARS_MAX = 2_048;

function unpacked(header: string): string | null {
  if (header.length > HELLO_CHARS_MAX) return null;
  try {
    return atob(header);
  } catch {
    return null;
  }
}
