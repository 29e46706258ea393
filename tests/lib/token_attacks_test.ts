/** Forged and stale access tokens: none is accepted, each for its own reason. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import {
  base64url,
  CompactEncrypt,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  importJWK,
  type JWTPayload,
  SignJWT,
  UnsecuredJWT,
} from "jose";
import { type Audience, newAccessTokens } from "@/lib/access_tokens.ts";
import { AppError } from "@/lib/errors.ts";
import { newId } from "@/lib/ids.ts";
import { silentLog } from "@/lib/log.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { keyShelf } from "@/tests/support/signing_keys.ts";

const ISSUER = "https://voice.example.com";
const HOLDER = { personId: newId("person"), sessionId: newId("session") };
const DAY_MS = 86_400_000;

/** What an attacker has to work with, and more: our own private key, to forge what only we could sign. */
async function setUp() {
  const clock = manualClock();
  const store = keyShelf();
  const tokens = newAccessTokens({ store, issuer: ISSUER, clock, log: silentLog });
  const { token } = await tokens.issue(HOLDER);
  const [header = "", payload = "", signature = ""] = token.split(".");
  const [stored] = store.keys;
  assert.ok(stored?.privateJwk);
  const kid = stored.id;
  const ours = await importJWK(JSON.parse(stored.privateJwk), "Ed25519");
  const publicKey = await importJWK({ ...stored.publicJwk }, "Ed25519");
  assert.ok(ours instanceof CryptoKey && publicKey instanceof CryptoKey);
  const theirs = await generateKeyPair("Ed25519", { extractable: true });
  const now = Math.floor(clock.date().getTime() / 1_000);
  const claims: JWTPayload = {
    iss: ISSUER,
    sub: HOLDER.personId,
    aud: "ringmaster",
    sid: HOLDER.sessionId,
    jti: "a-jti",
    iat: now,
    exp: now + 600,
  };
  const head = { alg: "Ed25519", typ: "at+jwt", kid };
  type Head = Record<string, unknown> & { alg: string };
  const asHead = (more: Readonly<Record<string, unknown>>): Head => ({ ...head, ...more });
  const sign = (
    more: Readonly<Record<string, unknown>>,
    heads: Readonly<Record<string, unknown>> = {},
    key: Parameters<SignJWT["sign"]>[0] = ours,
  ): Promise<string> =>
    new SignJWT({ ...claims, ...more }).setProtectedHeader(asHead(heads)).sign(key);
  /** Signs bytes that no library would make. */
  const signRaw = async (headText: string, payloadText: string): Promise<string> => {
    const text = `${base64url.encode(headText)}.${base64url.encode(payloadText)}`;
    const bytes = await crypto.subtle.sign("Ed25519", ours, new TextEncoder().encode(text));
    return `${text}.${base64url.encode(new Uint8Array(bytes))}`;
  };
  const hmac = (
    key: string | Uint8Array,
    heads: Readonly<Record<string, unknown>> = {},
  ): string => {
    const headText = JSON.stringify({ ...head, alg: "HS256", ...heads });
    const text = `${base64url.encode(headText)}.${base64url.encode(JSON.stringify(claims))}`;
    return `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
  };
  return {
    ...{ clock, store, tokens, token, header, payload, signature, kid, ours, publicKey, theirs },
    ...{ claims, head, now, sign, signRaw, hmac },
  };
}

type Kit = Awaited<ReturnType<typeof setUp>>;
type Attack = readonly [name: string, make: (kit: Kit) => string | Promise<string>, Audience?];

const encoded = (value: unknown): string => base64url.encode(JSON.stringify(value));
const changed = (text: string, at: number): string =>
  text.slice(0, at) + (text.at(at) === "A" ? "B" : "A") + text.slice(at + 1);
const foreignJwk = async ({ theirs }: Kit) => await exportJWK(theirs.publicKey);

/** Without any key of ours. */
const FORGED: readonly Attack[] = [
  ["no token at all", () => ""],
  ["two dots", () => ".."],
  ["a word", () => "token"],
  ["alg none, unsigned", ({ claims }) => new UnsecuredJWT(claims).encode()],
  [
    "alg none with our kid",
    ({ head, payload }) => `${encoded({ ...head, alg: "none" })}.${payload}.`,
  ],
  ["alg None", ({ head, payload }) => `${encoded({ ...head, alg: "None" })}.${payload}.`],
  [
    "alg none over a good signature",
    ({ head, payload, signature }) =>
      `${encoded({ ...head, alg: "none" })}.${payload}.${signature}`,
  ],
  [
    "alg empty",
    ({ head, payload, signature }) => `${encoded({ ...head, alg: "" })}.${payload}.${signature}`,
  ],
  [
    "alg absent",
    ({ kid, payload, signature }) => `${encoded({ typ: "at+jwt", kid })}.${payload}.${signature}`,
  ],
  [
    "alg as a list",
    ({ head, payload, signature }) =>
      `${encoded({ ...head, alg: ["Ed25519", "none"] })}.${payload}.${signature}`,
  ],
  [
    "HS256 with the public key's PEM",
    async ({ hmac, publicKey }) => hmac(await exportSPKI(publicKey)),
  ],
  [
    "HS256 with the public key's bytes",
    async ({ hmac, publicKey }) => hmac(base64url.decode((await exportJWK(publicKey)).x ?? "")),
  ],
  [
    "HS256 with the public key's JWK",
    async ({ hmac, publicKey }) => hmac(JSON.stringify(await exportJWK(publicKey))),
  ],
  ["HS256 with an empty key", ({ hmac }) => hmac("")],
  ["HS256 with a kid of /dev/null", ({ hmac }) => hmac("", { kid: "../../../../dev/null" })],
  ["another key under our kid", ({ sign, theirs }) => sign({}, {}, theirs.privateKey)],
  [
    "another key without a kid",
    ({ sign, theirs }) => sign({}, { kid: undefined }, theirs.privateKey),
  ],
  [
    "another key under an unknown kid",
    ({ sign, theirs }) => sign({}, { kid: "unknown" }, theirs.privateKey),
  ],
  [
    "a kid that is a path",
    ({ sign, theirs }) => sign({}, { kid: "../keys/mine.pem" }, theirs.privateKey),
  ],
  [
    "a kid that is a URL",
    ({ sign, theirs }) => sign({}, { kid: "https://evil.example/jwks" }, theirs.privateKey),
  ],
  ["a kid that is SQL", ({ sign, theirs }) => sign({}, { kid: "' or 1=1 --" }, theirs.privateKey)],
  ["a kid of __proto__", ({ sign, theirs }) => sign({}, { kid: "__proto__" }, theirs.privateKey)],
  ["a kid that is no text", ({ sign, theirs }) => sign({}, { kid: 0 }, theirs.privateKey)],
  [
    "a kid in other case",
    ({ sign, theirs, kid }) => sign({}, { kid: kid.toLowerCase() }, theirs.privateKey),
  ],
  [
    "its own key as jwk",
    async (kit) => await kit.sign({}, { jwk: await foreignJwk(kit) }, kit.theirs.privateKey),
  ],
  [
    "its own key behind jku",
    ({ sign, theirs }) => sign({}, { jku: "https://evil.example/jwks" }, theirs.privateKey),
  ],
  [
    "its own key behind x5u",
    ({ sign, theirs }) => sign({}, { x5u: "https://evil.example/cert" }, theirs.privateKey),
  ],
  [
    "its own certificate as x5c",
    ({ sign, theirs }) => sign({}, { x5c: ["MIIB"] }, theirs.privateKey),
  ],
  [
    "ES256 under our kid",
    async ({ sign }) => sign({}, { alg: "ES256" }, (await generateKeyPair("ES256")).privateKey),
  ],
  [
    "ES384 of another curve",
    async ({ sign }) => sign({}, { alg: "ES384" }, (await generateKeyPair("ES384")).privateKey),
  ],
  [
    "RS256 under our kid",
    async ({ sign }) => sign({}, { alg: "RS256" }, (await generateKeyPair("RS256")).privateKey),
  ],
  [
    "PS256 under our kid",
    async ({ sign }) => sign({}, { alg: "PS256" }, (await generateKeyPair("PS256")).privateKey),
  ],
  [
    "the payload of another person",
    ({ header, signature, claims }) =>
      `${header}.${encoded({ ...claims, sub: newId("person") })}.${signature}`,
  ],
  [
    "a payload with a bit changed",
    ({ header, payload, signature }) => `${header}.${changed(payload, 20)}.${signature}`,
  ],
  [
    "a signature with a bit changed",
    ({ header, payload, signature }) => `${header}.${payload}.${changed(signature, 20)}`,
  ],
  [
    "a header with a bit changed",
    ({ header, payload, signature }) => `${changed(header, 10)}.${payload}.${signature}`,
  ],
  [
    "the signature of another token",
    async ({ tokens, header, payload }) =>
      `${header}.${payload}.${(await tokens.issue(HOLDER)).token.split(".")[2]}`,
  ],
  ["no signature", ({ header, payload }) => `${header}.${payload}.`],
  ["two parts", ({ header, payload }) => `${header}.${payload}`],
  ["four parts", ({ token, signature }) => `${token}.${signature}`],
  [
    "a signature of zeros",
    ({ header, payload }) => `${header}.${payload}.${base64url.encode(new Uint8Array(64))}`,
  ],
  ["a signature cut short", ({ token }) => token.slice(0, -8)],
  ["a signature made longer", ({ token }) => `${token}AAAA`],
  ["unicode dots", ({ token }) => token.replaceAll(".", "\u3002")],
  ["one unicode dot", ({ token }) => token.replace(".", "\uff0e")],
  ["padding in base64", ({ header, payload, signature }) => `${header}==.${payload}.${signature}`],
  ["a space before", ({ token }) => ` ${token}`],
  ["a newline after the header", ({ token }) => token.replace(".", "\n.")],
  ["a zero byte at the end", ({ token }) => `${token}\0`],
  ["a huge payload", ({ header, signature }) => `${header}.${"A".repeat(1_000_000)}.${signature}`],
  ["a huge header", ({ payload, signature }) => `${"A".repeat(1_000_000)}.${payload}.${signature}`],
  [
    "a JWS as JSON",
    ({ header, payload, signature }) => JSON.stringify({ protected: header, payload, signature }),
  ],
  ["a JWE for our public key's bytes", async ({ claims, publicKey }) => {
    const key = base64url.decode((await exportJWK(publicKey)).x ?? "");
    return await new CompactEncrypt(new TextEncoder().encode(JSON.stringify(claims)))
      .setProtectedHeader({ alg: "dir", enc: "A256GCM" }).encrypt(key);
  }],
];

/** Signed by our very key: what another use of it, or a bug, might have made. */
const MISUSED: readonly Attack[] = [
  ["typ JWT", ({ sign }) => sign({}, { typ: "JWT" })],
  ["no typ", ({ sign }) => sign({}, { typ: undefined })],
  ["typ of an ID token", ({ sign }) => sign({}, { typ: "id+jwt" })],
  ["typ with its media type's prefix", ({ sign }) => sign({}, { typ: "application/at+jwt" })],
  ["alg EdDSA", ({ sign }) => sign({}, { alg: "EdDSA" })],
  [
    "crit that is not known",
    ({ signRaw, head, claims }) =>
      signRaw(JSON.stringify({ ...head, crit: ["exp"], exp: 1 }), JSON.stringify(claims)),
  ],
  [
    "b64 false",
    ({ signRaw, head, claims }) =>
      signRaw(JSON.stringify({ ...head, b64: false, crit: ["b64"] }), JSON.stringify(claims)),
  ],
  [
    "a header with alg twice",
    ({ signRaw, kid, claims }) =>
      signRaw(
        `{"alg":"none","alg":"Ed25519","typ":"at+jwt","kid":"${kid}"}`,
        JSON.stringify(claims),
      ),
  ],
  [
    "a header with spaces",
    ({ signRaw, head, claims }) => signRaw(JSON.stringify(head, null, 1), JSON.stringify(claims)),
  ],
  [
    "a claim twice",
    ({ signRaw, head, claims }) =>
      signRaw(
        JSON.stringify(head),
        JSON.stringify(claims).replace("{", `{"sub":"${newId("person")}",`),
      ),
  ],
  [
    "a nested token",
    async ({ signRaw, head, token }) =>
      await signRaw(JSON.stringify({ ...head, cty: "JWT" }), token),
  ],
  ["a payload that is a list", ({ signRaw, head }) => signRaw(JSON.stringify(head), "[]")],
  ["a payload that is no JSON", ({ signRaw, head }) => signRaw(JSON.stringify(head), "sub=me")],
  ["another issuer", ({ sign }) => sign({ iss: "https://evil.example" })],
  ["an issuer with a slash more", ({ sign }) => sign({ iss: `${ISSUER}/` })],
  ["no issuer", ({ sign }) => sign({ iss: undefined })],
  ["another audience", ({ sign }) => sign({ aud: "another" })],
  ["no audience", ({ sign }) => sign({ aud: undefined })],
  ["a list of audiences with ours in it", ({ sign }) => sign({ aud: ["ringmaster", "another"] })],
  ["a list of our audience alone", ({ sign }) => sign({ aud: ["ringmaster"] })],
  [
    "an operator's token at the API",
    async ({ tokens }) => (await tokens.issue(HOLDER, "ringmaster-operator")).token,
  ],
  ["a user's token at the operators'", ({ token }) => token, "ringmaster-operator"],
  ["expired", ({ sign, now }) => sign({ iat: now - 700, exp: now - 100 })],
  ["expired 31 s ago", ({ sign, now }) => sign({ exp: now - 31 })],
  ["no expiry", ({ sign }) => sign({ exp: undefined })],
  ["an expiry that is text", ({ sign, now }) => sign({ exp: `${now + 600}` })],
  [
    "an expiry of a year, issued long ago",
    ({ sign, now }) => sign({ iat: now - 700, exp: now + 31_536_000 }),
  ],
  ["not yet valid", ({ sign, now }) => sign({ nbf: now + 31 })],
  ["issued in the future", ({ sign, now }) => sign({ iat: now + 31, exp: now + 631 })],
  [
    "issued far in the future",
    ({ sign, now }) => sign({ iat: now + 31_536_000, exp: now + 31_536_600 }),
  ],
  ["no time of issue", ({ sign }) => sign({ iat: undefined })],
  ["no session", ({ sign }) => sign({ sid: undefined })],
  ["a session that is no id of one", ({ sign }) => sign({ sid: "session_1" })],
  ["no subject", ({ sign }) => sign({ sub: undefined })],
  ["a subject that is a tenant", ({ sign }) => sign({ sub: newId("tenant") })],
  ["a subject that is an API key", ({ sign }) => sign({ sub: newId("key") })],
  ["no jti", ({ sign }) => sign({ jti: undefined })],
  ["a claim more than we would write", ({ sign }) => sign({ scope: "admin" })],
];

async function refusal({ tokens }: Kit, token: string, audience?: Audience): Promise<string> {
  const error = await tokens.verify(token, audience).then(() => "accepted", (thrown) => thrown);
  return error instanceof AppError ? error.code : String(error);
}

for (const [name, make, audience] of [...FORGED, ...MISUSED]) {
  Deno.test(`token attack: ${name}`, async () => {
    const kit = await setUp();
    const forged = await make(kit);
    assert.equal(await refusal(kit, forged, audience), "unauthenticated");
    assert.equal(await refusal(kit, kit.token), "accepted", "the good one still is");
  });
}

Deno.test("token attack: a retired key, used by who found its private half", async () => {
  const kit = await setUp();
  await kit.clock.advance(31 * DAY_MS);
  const now = Math.floor(kit.clock.date().getTime() / 1_000);
  const forged = await kit.sign({ iat: now, exp: now + 600 });
  assert.equal(await refusal(kit, forged), "unauthenticated");
});

Deno.test("token attack: a token of a house with another database", async () => {
  const [kit, other] = [await setUp(), await setUp()];
  assert.equal(await refusal(kit, other.token), "unauthenticated");
});

Deno.test("60 attacks or more stand in the table, each by its own name", () => {
  const names = [...FORGED, ...MISUSED].map(([name]) => name);
  assert(names.length >= 60, `${names.length}`);
  assert.equal(new Set(names).size, names.length);
});
