/** Secrets of an installation that was given none: made once, kept in its data folder. */

import { newToken } from "./ids.ts";
import { Secret } from "./secret.ts";

export interface LocalSecrets {
  /** What a simulated carrier on this machine signs with. */
  readonly carrierToken: Secret;
  readonly operatorToken: Secret;
}

const FILE = "secrets.json";
/** Its owner's alone. */
const MODE = 0o600;

/** Reads them, and makes them where there are none yet. */
export async function takeLocalSecrets(dataDir: string): Promise<LocalSecrets> {
  const found = await readLocalSecrets(dataDir);
  if (found !== null) return found;
  const made = { carrierToken: newToken(), operatorToken: newToken() };
  await Deno.mkdir(dataDir, { recursive: true });
  await Deno.writeTextFile(`${dataDir}/${FILE}`, JSON.stringify(made), { mode: MODE });
  return secrets(made);
}

/** Null when there are none here. */
export async function readLocalSecrets(dataDir: string): Promise<LocalSecrets | null> {
  try {
    return secrets(JSON.parse(await Deno.readTextFile(`${dataDir}/${FILE}`)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

function secrets(json: { carrierToken: string; operatorToken: string }): LocalSecrets {
  return {
    carrierToken: new Secret(json.carrierToken),
    operatorToken: new Secret(json.operatorToken),
  };
}
