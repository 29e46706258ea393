/** Secrets of an installation that was given none: made once, kept in its data folder. */

import { newKey } from "./api_keys.ts";
import { newToken } from "./ids.ts";
import { Secret } from "./secret.ts";

export interface LocalSecrets {
  /** What a simulated carrier on this machine signs with. */
  readonly carrierToken: Secret;
  readonly operatorToken: Secret;
  /** Base64 of 32 bytes: wraps the tenants' data keys. */
  readonly keyEncryptionKey: Secret;
  /** Under the hashes of API keys and tokens. */
  readonly pepper: Secret;
  /** A whole API key, of the demo tenant. */
  readonly demoKey: Secret;
}

const FILE = "secrets.json";
/** Its owner's alone. */
const MODE = 0o600;

const make = {
  carrierToken: newToken,
  operatorToken: newToken,
  keyEncryptionKey: () => crypto.getRandomValues(new Uint8Array(32)).toBase64(),
  pepper: newToken,
  demoKey: () => newKey("live"),
} as const satisfies Record<keyof LocalSecrets, () => string>;

/** Of a process that keeps nothing: gone with it. */
export function temporarySecrets(): LocalSecrets {
  return wrap(complete({}));
}

/** Reads them, and makes those that there are none of yet. */
export async function takeLocalSecrets(dataDir: string): Promise<LocalSecrets> {
  const found = await readFile(dataDir) ?? {};
  const all = complete(found);
  if (Object.keys(found).length < Object.keys(all).length) {
    await Deno.mkdir(dataDir, { recursive: true });
    await Deno.writeTextFile(`${dataDir}/${FILE}`, JSON.stringify(all), { mode: MODE });
  }
  return wrap(all);
}

/** Null when there are none here. */
export async function readLocalSecrets(dataDir: string): Promise<LocalSecrets | null> {
  const found = await readFile(dataDir);
  return found && wrap(complete(found));
}

type Texts = Record<keyof LocalSecrets, string>;

async function readFile(dataDir: string): Promise<Partial<Texts> | null> {
  try {
    return JSON.parse(await Deno.readTextFile(`${dataDir}/${FILE}`));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

function complete(found: Partial<Texts>): Texts {
  return {
    carrierToken: found.carrierToken ?? make.carrierToken(),
    operatorToken: found.operatorToken ?? make.operatorToken(),
    keyEncryptionKey: found.keyEncryptionKey ?? make.keyEncryptionKey(),
    pepper: found.pepper ?? make.pepper(),
    demoKey: found.demoKey ?? make.demoKey(),
  };
}

function wrap(texts: Texts): LocalSecrets {
  return {
    carrierToken: new Secret(texts.carrierToken),
    operatorToken: new Secret(texts.operatorToken),
    keyEncryptionKey: new Secret(texts.keyEncryptionKey),
    pepper: new Secret(texts.pepper),
    demoKey: new Secret(texts.demoKey),
  };
}
