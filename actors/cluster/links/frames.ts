/**
 * What goes over a link: frames of entries, numbered from 1 without a gap, as JSON. What comes twice is dropped;
 * where one is missing nothing can be said of what was in it, and the link ends.
 */

import type { Boot } from "@/db/cluster.ts";
import { AppError, type ErrorOptions, isErrorCode } from "@/lib/errors.ts";

/** A frame in UTF-8 at most; a socket closes on a longer one. */
export const FRAME_BYTES_MAX = 256 * 1024;
/** An entry in UTF-16 units: three bytes each at most, so that one always fits into a frame. */
export const ENTRY_UNITS_MAX = 64 * 1024;
/** No entry is added to a frame that is as long as this. */
export const FRAME_UNITS_FULL = 16 * 1024;

/** For whom a message is. */
export interface Address {
  readonly kind: string;
  readonly id: string;
  /** Whose it must be; null: its id says so already. */
  readonly tenantId: string | null;
}

/** Where an actor is, as the one who was asked knows it. */
export interface Place {
  readonly owner: Boot;
  readonly epoch: number;
}

/** `remainingMs`: to the deadline, when it left. `place` null: nobody has it, as far as is known there. */
export type Entry =
  | { readonly type: "ask"; readonly ask: number; readonly remainingMs: number } & Carried
  | { readonly type: "send"; readonly hops: number } & Carried
  | { readonly type: "reply"; readonly ask: number; readonly answer: unknown }
  | { readonly type: "fail"; readonly ask: number; readonly error: AppError }
  /** Nobody waits for it any more. */
  | { readonly type: "cancel"; readonly ask: number }
  /** Of an ask: it is not here. */
  | { readonly type: "moved"; readonly ask: number; readonly place: Place | null }
  /** Of a send: it is not here, and comes back. */
  | { readonly type: "back"; readonly hops: number; readonly place: Place | null } & Carried
  | { readonly type: "beat"; readonly beat: number }
  | { readonly type: "beaten"; readonly beat: number };

interface Carried {
  readonly address: Address;
  readonly message: { readonly type: string };
}

/** Of an entry: what it is and its fields, in this order. By hand: the message inside is what a schema checks. */
type Written =
  | readonly ["a", ask: number, remainingMs: number, ...Said]
  | readonly ["s", hops: number, ...Said]
  | readonly ["r", ask: number, answer?: unknown]
  | readonly ["f", ask: number, code: string, message: string, facts: Facts]
  | readonly ["c", ask: number]
  | readonly ["m", ask: number, place: WrittenPlace | null]
  | readonly ["b", hops: number, place: WrittenPlace | null, ...Said]
  | readonly ["p", beat: number]
  | readonly ["q", beat: number];

type Said = readonly [kind: string, id: string, tenantId: string | null, message: { type: string }];
type WrittenPlace = readonly [nodeId: string, incarnation: number, epoch: number];
type Facts = Pick<ErrorOptions, "retryable" | "field" | "retryAfterS" | "status">;

/** A message for an actor as JSON, so that it is made once however often it is sent. */
export function saidOf({ kind, id, tenantId }: Address, packed: string): string {
  return `${JSON.stringify([kind, id, tenantId]).slice(1, -1)},${packed}`;
}

export function askEntry(ask: number, remainingMs: number, said: string): string {
  return `["a",${ask},${Math.max(0, Math.round(remainingMs))},${said}]`;
}

export function sendEntry(hops: number, said: string): string {
  return `["s",${hops},${said}]`;
}

export function backEntry(hops: number, place: Place | null, said: string): string {
  return `["b",${hops},${placed(place)},${said}]`;
}

export function replyEntry(ask: number, answer: unknown): string {
  return answer === undefined ? `["r",${ask}]` : `["r",${ask},${JSON.stringify(answer)}]`;
}

export function failEntry(ask: number, error: AppError): string {
  const { code, retryable, field, retryAfterS, status } = error;
  const message = error.message.slice(0, MESSAGE_UNITS_MAX);
  return JSON.stringify(["f", ask, code, message, { retryable, field, retryAfterS, status }]);
}

export function movedEntry(ask: number, place: Place | null): string {
  return `["m",${ask},${placed(place)}]`;
}

export function cancelEntry(ask: number): string {
  return `["c",${ask}]`;
}

export function beatEntry(type: "beat" | "beaten", beat: number): string {
  return `["${type === "beat" ? "p" : "q"}",${beat}]`;
}

export function frameOf(number: number, entries: readonly string[]): string {
  return `[${number},${entries.join(",")}]`;
}

export interface Frame {
  readonly number: number;
  readonly entries: readonly Entry[];
}

/** Throws AppError("invalid") for what is no frame. */
export function parseFrame(data: string | Uint8Array): Frame {
  const [number, ...entries] = listOf(data);
  if (!isCount(number)) throw malformed("a frame without its number");
  return { number, entries: entries.map(toEntry) };
}

function listOf(data: string | Uint8Array): unknown[] {
  try {
    const list: unknown = typeof data === "string" ? JSON.parse(data) : null;
    if (Array.isArray(list)) return list;
  } catch { /* told below */ }
  throw malformed("what is no list");
}

function toEntry(entry: unknown): Entry {
  if (!isWritten(entry)) throw malformed("an entry that is none");
  switch (entry[0]) {
    case "a":
      return { type: "ask", ask: entry[1], remainingMs: entry[2], ...carried(entry, 3) };
    case "s":
      return { type: "send", hops: entry[1], ...carried(entry, 2) };
    case "r":
      return { type: "reply", ask: entry[1], answer: entry[2] };
    case "f": {
      const [, ask, code, message, facts] = entry;
      return { type: "fail", ask, error: toError(code, message, facts) };
    }
    case "c":
      return { type: "cancel", ask: entry[1] };
    case "m":
      return { type: "moved", ask: entry[1], place: toPlace(entry[2]) };
    case "b":
      return { type: "back", hops: entry[1], place: toPlace(entry[2]), ...carried(entry, 3) };
    case "p":
      return { type: "beat", beat: entry[1] };
    case "q":
      return { type: "beaten", beat: entry[1] };
  }
}

function isWritten(entry: unknown): entry is Written {
  if (!Array.isArray(entry) || !isCount(entry[1])) return false;
  switch (entry[0]) {
    case "a":
      return isCount(entry[2]) && isSaid(entry, 3);
    case "s":
      return isSaid(entry, 2);
    case "f":
      return isText(entry[2]) && isText(entry[3]) && isObject(entry[4]);
    case "m":
      return isPlace(entry[2]);
    case "b":
      return isPlace(entry[2]) && isSaid(entry, 3);
    case "r":
    case "c":
    case "p":
    case "q":
      return true;
    default:
      return false;
  }
}

function carried(entry: readonly unknown[], at: number): Carried {
  // As `isSaid` has found it.
  const [kind, id, tenantId, message] = entry.slice(at) as unknown as Said;
  return { address: { kind, id, tenantId }, message };
}

function isSaid(entry: readonly unknown[], at: number): boolean {
  const message = entry[at + 3];
  return isText(entry[at]) && isText(entry[at + 1]) &&
    (entry[at + 2] === null || isText(entry[at + 2])) && isObject(message) &&
    isText(message["type"]);
}

function isPlace(place: unknown): boolean {
  if (place === null) return true;
  return Array.isArray(place) && isText(place[0]) && isCount(place[1]) && isCount(place[2]);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function placed(place: Place | null): string {
  if (place === null) return "null";
  return JSON.stringify([place.owner.nodeId, place.owner.incarnation, place.epoch]);
}

function toPlace(place: WrittenPlace | null): Place | null {
  if (place === null) return null;
  const [nodeId, incarnation, epoch] = place;
  return { owner: { nodeId, incarnation }, epoch };
}

/** One whose code this version does not know is a bug of somebody's. */
function toError(code: string, message: string, facts: Facts): AppError {
  const { field, retryAfterS, status } = facts;
  return new AppError(isErrorCode(code) ? code : "internal", message, {
    retryable: facts.retryable === true,
    ...(isText(field) ? { field } : {}),
    ...(typeof retryAfterS === "number" ? { retryAfterS } : {}),
    ...(typeof status === "number" ? { status } : {}),
  });
}

function malformed(what: string): AppError {
  return new AppError("invalid", `A machine sent ${what}`);
}

const MESSAGE_UNITS_MAX = 4_096;
