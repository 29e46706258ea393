/** The API as a TypeScript client sees it: paths, inputs and answers are the routes' own types. */

import { hc } from "hono/client";
import type { Api } from "./app.ts";

export type Client = ReturnType<typeof hc<Api>>;

/**
 * `url` is where the house is reached, with no slash at its end; the token is an API key or an access
 * token, and null for who has yet to sign up or log in.
 */
export function newClient(url: string, token: string | null): Client {
  const headers: Record<string, string> = token === null
    ? {}
    : { Authorization: `Bearer ${token}` };
  return hc<Api>(`${url}/api/v1`, { headers });
}
