/** Access tokens: JWTs (RFC 9068) of ten minutes, signed by keys of the house that change every month. */

import {
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
  type JWTPayload,
  jwtVerify,
  SignJWT,
} from "jose";
import type { Clock } from "./clock.ts";
import { AppError } from "./errors.ts";
import { newToken, uuidOf } from "./ids.ts";
import type { Log } from "./log.ts";

/** Fully specified (RFC 9864): no key of another curve or kind can stand for it. */
const ALGORITHM = "Ed25519";
const TYPE = "at+jwt"; // RFC 9068 2.1
/** What an access token is good for; a session is looked up again at the next refresh. */
export const ACCESS_S = 600;
/** How far the clocks of two machines may be apart. */
const SKEW_S = 30;
const TOKEN_MAX = 2_048;

const DAY_MS = 86_400_000;
/** A key signs so long, and verifies until the last token that it signed is dead. */
const SIGNS_MS = 30 * DAY_MS;
const DIES_MS = (ACCESS_S + SKEW_S) * 1_000;
/** A key is published this long before it signs, so that everybody who verifies has loaded it. */
const SETTLE_MS = 10 * 60_000;
/** The next one is made this long before the last one stops. */
const AHEAD_MS = 2 * SETTLE_MS;
/** Keys are loaded anew when they are this old; for a key that is not known, once a second at most. */
const HELD_MS = 60_000;
const RELOAD_MS = 1_000;

/** Whom a token is for: the API, or the listener of operators. */
export type Audience = "ringmaster" | "ringmaster-operator";

export interface SigningKey {
  /** The `kid`: the thumbprint of the public half (RFC 7638). */
  readonly id: string;
  readonly publicJwk: Readonly<Record<string, unknown>>;
  /** A JWK as JSON; null where it cannot be opened here. */
  readonly privateJwk: string | null;
  readonly createdAt: Date;
  readonly signsUntil: Date;
  readonly verifiesUntil: Date;
}

/** Where the keys are kept, shared by all machines. */
export interface SigningKeyStore {
  /** Those that verify at `now`, newest first. */
  list(now: Date): Promise<readonly SigningKey[]>;
  /** Throws AppError("not_configured") where nothing can be sealed. */
  add(key: SigningKey & { readonly privateJwk: string }): Promise<void>;
}

export interface TokenHolder {
  /** `person_…` */
  readonly personId: string;
  /** `session_…` */
  readonly sessionId: string;
}

export interface Verified extends TokenHolder {
  readonly expiresAt: Date;
}

export interface AccessTokens {
  issue(holder: TokenHolder, audience?: Audience): Promise<{
    readonly token: string;
    readonly expiresInS: number;
  }>;
  /** Throws AppError("unauthenticated") for whatever is not a live token of ours for this audience. */
  verify(token: string, audience?: Audience): Promise<Verified>;
  /** The public halves (RFC 7517). */
  jwks(): Promise<{ readonly keys: readonly PublicKey[] }>;
}

/** RFC 8037 2. */
export interface PublicKey {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  readonly x: string;
  readonly kid: string;
  readonly alg: "Ed25519";
  readonly use: "sig";
}

export interface AccessTokenOptions {
  readonly store: SigningKeyStore;
  /** `iss`: what users reach us at. */
  readonly issuer: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** A key that is ready to be used. */
interface LoadedKey extends SigningKey {
  readonly verifier: CryptoKey;
  readonly signer: CryptoKey | null;
}

interface Loaded {
  /** By the one header that a token of the key can have. */
  readonly byHeader: ReadonlyMap<string, LoadedKey>;
  /** `clock.now()` of the load. */
  readonly at: number;
}

export function newAccessTokens({ store, issuer, clock, log }: AccessTokenOptions): AccessTokens {
  let held: Loaded | null = null;
  let loading: Promise<Loaded> | null = null;
  let making: Promise<Loaded> | null = null;

  async function load(): Promise<Loaded> {
    const at = clock.now();
    const keys = await Promise.all((await store.list(clock.date())).map(ready));
    return { byHeader: new Map(keys.map((key) => [headerOf(key.id), key])), at };
  }

  /** One load at a time, whoever waits for it. */
  function reload(): Promise<Loaded> {
    loading ??= load().then((loaded) => held = loaded).finally(() => loading = null);
    return loading;
  }

  async function loaded(maxAgeMs: number): Promise<Loaded> {
    return held !== null && clock.now() - held.at < maxAgeMs ? held : await reload();
  }

  async function keyOf(header: string): Promise<LoadedKey | undefined> {
    const known = (await loaded(HELD_MS)).byHeader.get(header);
    return known ?? (await loaded(RELOAD_MS)).byHeader.get(header);
  }

  /** The key to sign with; makes one where the last is about to stop. */
  async function signer(): Promise<LoadedKey & { readonly signer: CryptoKey }> {
    const found = newestSigner(await loaded(HELD_MS), clock.date());
    if (found !== null && !isEnding(found.newest, clock.date())) return found.chosen;
    making ??= addKey().then(reload).finally(() => making = null);
    const made = newestSigner(await making, clock.date());
    if (made === null) throw new Error("The key that was made is not there");
    return made.chosen;
  }

  async function addKey(): Promise<void> {
    const { publicKey, privateKey } = await generateKeyPair(ALGORITHM, { extractable: true });
    const publicJwk = await exportJWK(publicKey);
    const now = clock.date().getTime();
    const id = await calculateJwkThumbprint(publicJwk);
    await store.add({
      id,
      publicJwk: { ...publicJwk },
      privateJwk: JSON.stringify(await exportJWK(privateKey)),
      createdAt: new Date(now),
      signsUntil: new Date(now + SIGNS_MS),
      verifiesUntil: new Date(now + SIGNS_MS + DIES_MS),
    });
    log.info("signing key made", { keyId: id });
  }

  return {
    async issue({ personId, sessionId }, audience = "ringmaster") {
      const { id, signer: key } = await signer();
      const now = Math.floor(clock.date().getTime() / 1_000);
      const claims = { iss: issuer, sub: personId, aud: audience, sid: sessionId, jti: newToken() };
      const token = await new SignJWT(ordered({ ...claims, iat: now, exp: now + ACCESS_S }))
        .setProtectedHeader(header(id))
        .sign(key);
      return { token, expiresInS: ACCESS_S };
    },

    async verify(token, audience = "ringmaster") {
      if (token.length > TOKEN_MAX) throw refused();
      const key = await keyOf(token.slice(0, token.indexOf(".")));
      if (key === undefined || key.verifiesUntil <= clock.date()) throw refused();
      const { payload } = await jwtVerify(token, key.verifier, {
        algorithms: [ALGORITHM],
        typ: TYPE,
        issuer,
        audience,
        clockTolerance: SKEW_S,
        maxTokenAge: ACCESS_S,
        requiredClaims: ["sub", "sid", "exp", "jti"],
        currentDate: clock.date(),
      }).catch((cause) => {
        throw refused(cause);
      });
      const { sub, sid, aud, exp = 0 } = payload;
      if (partOf(ordered(payload)) !== token.split(".")[1]) throw refused();
      if (aud !== audience || typeof sub !== "string" || typeof sid !== "string") throw refused();
      if (uuidOf("person", sub) === null || uuidOf("session", sid) === null) throw refused();
      return { personId: sub, sessionId: sid, expiresAt: new Date(exp * 1_000) };
    },

    async jwks() {
      const { byHeader } = await loaded(HELD_MS);
      const keys = [...byHeader.values()].map(({ id, publicJwk }) => {
        const x = String(publicJwk["x"]);
        return { kty: "OKP", crv: ALGORITHM, x, kid: id, alg: ALGORITHM, use: "sig" } as const;
      });
      return { keys };
    },
  };
}

function header(id: string): { readonly alg: string; readonly typ: string; readonly kid: string } {
  return { alg: ALGORITHM, typ: TYPE, kid: id };
}

/**
 * The first part of every token of this key. Tokens are found by it as it stands, so that a header
 * with anything else in it (`jwk`, `jku`, `x5u`, `crit`, another `alg`) is never parsed at all.
 */
function headerOf(id: string): string {
  return partOf(header(id));
}

/** The claims as we write them. One that stands twice, or is not ours, makes another text. */
function ordered({ iss, sub, aud, sid, jti, iat, exp }: JWTPayload): JWTPayload {
  return { iss, sub, aud, sid, jti, iat, exp } as JWTPayload; // what is absent was refused before
}

function partOf(value: unknown): string {
  return new TextEncoder().encode(JSON.stringify(value))
    .toBase64({ alphabet: "base64url", omitPadding: true });
}

/** The newest key that signs, and the one to sign with: the newest that all machines have loaded. */
function newestSigner({ byHeader }: Loaded, now: Date): {
  readonly newest: LoadedKey;
  readonly chosen: LoadedKey & { readonly signer: CryptoKey };
} | null {
  const live = [...byHeader.values()].filter(isSigner).filter(({ signsUntil }) => signsUntil > now);
  const [newest] = live;
  if (newest === undefined) return null;
  const settled = live.find(({ createdAt }) => now.getTime() - createdAt.getTime() >= SETTLE_MS);
  return { newest, chosen: settled ?? newest };
}

function isSigner(key: LoadedKey): key is LoadedKey & { readonly signer: CryptoKey } {
  return key.signer !== null;
}

function isEnding({ signsUntil }: SigningKey, now: Date): boolean {
  return signsUntil.getTime() - now.getTime() < AHEAD_MS;
}

async function ready(key: SigningKey): Promise<LoadedKey> {
  const signer = key.privateJwk === null ? null : await imported(JSON.parse(key.privateJwk));
  return { ...key, verifier: await imported({ ...key.publicJwk }), signer };
}

async function imported(jwk: JWK): Promise<CryptoKey> {
  const key = await importJWK(jwk, ALGORITHM);
  if (key instanceof Uint8Array) throw new Error("A signing key is not symmetric");
  return key;
}

function refused(cause?: unknown): AppError {
  return new AppError("unauthenticated", "No valid access token", {
    field: "Authorization",
    cause,
  });
}
