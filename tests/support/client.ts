/** Clients of a whole server: requests under one credential, and people who have signed up. */

import type { Database } from "@/db/client.ts";
import { insertMember } from "@/db/members.ts";
import type { Role } from "@/lib/access.ts";
import { newId } from "@/lib/ids.ts";
import { DEADLINE_MS } from "./rows.ts";

export interface Answered {
  readonly status: number;
  /** Parsed JSON; null where there was no body. */
  // deno-lint-ignore no-explicit-any -- each test knows what it asked for
  readonly body: any;
}

/** Sends JSON and reads JSON. */
export type Client = (method: string, path: string, body?: unknown) => Promise<Answered>;

export function clientOf(
  url: string,
  token: string | null,
  headers: Readonly<Record<string, string>> = {},
): Client {
  return async (method, path, body) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? null : JSON.parse(text) };
  };
}

export interface SignedUp {
  readonly email: string;
  readonly token: string;
  readonly refreshToken: string;
  readonly personId: string;
  readonly tenantId: string;
  readonly ask: Client;
}

export const PASSWORD = "correct horse battery";

/** A person with a tenant of their own, whose owner they are. */
export async function signUp(url: string): Promise<SignedUp> {
  const email = `${crypto.randomUUID()}@example.com`;
  const signup = { email, password: PASSWORD, name: "Ada", tenantName: "Clinic" };
  const { status, body } = await clientOf(url, null)("POST", "/api/v1/auth/signup", signup);
  if (status !== 201) throw new Error(`Cannot sign up: ${status} ${JSON.stringify(body)}`);
  const token: string = body.accessToken;
  const claims = Uint8Array.fromBase64(token.split(".")[1] ?? "", { alphabet: "base64url" });
  const personId: string = JSON.parse(new TextDecoder().decode(claims)).sub;
  const { tenantId, refreshToken } = body;
  return { email, token, refreshToken, personId, tenantId, ask: clientOf(url, token) };
}

export interface Joined extends SignedUp {
  readonly memberId: string;
}

/** Another person, who becomes a member of a tenant in the database itself, and acts there. */
export async function join(
  { url, database }: { readonly url: string; readonly database: Database },
  tenantId: string,
  role: Role,
): Promise<Joined> {
  const person = await signUp(url);
  const id = newId("member");
  await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) => insertMember(sql, tenantId, { id, personId: person.personId, role }),
  );
  const ask = clientOf(url, person.token, { "X-Tenant-ID": tenantId });
  return { ...person, tenantId, memberId: id, ask };
}
