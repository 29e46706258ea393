/** The demo: a tenant with one agent, one number and one key, so that a fresh start can be called at once. */

import { SCOPES } from "@/lib/access.ts";
import { keyHash, readKey } from "@/lib/api_keys.ts";
import { newId } from "@/lib/ids.ts";
import type { Secret } from "@/lib/secret.ts";
import { insertAgent, publishAgentVersion } from "./agents.ts";
import { insertApiKey } from "./api_keys.ts";
import type { Database } from "./client.ts";
import { insertPhoneNumber } from "./phone_numbers.ts";
import { insertTenant } from "./tenants.ts";

export const DEMO_TENANT_ID = "tenant_0198f3c2-0000-7000-8000-000000000001";
export const DEMO_AGENT_ID = "agent_0198f3c2-0000-7000-8000-000000000002";
/** E.164, of the range for fiction. */
export const DEMO_NUMBER = "+15550100100";

const DEMO_VERSION_ID = "version_0198f3c2-0000-7000-8000-000000000003";
const DEMO_NUMBER_ID = "number_0198f3c2-0000-7000-8000-000000000004";
const SEED_MS = 10_000;

/** False when the demo tenant is there already: what was made of it since stays as it is. */
export async function seedDemo(
  database: Database,
  demo: { readonly agentName: string; readonly graph: unknown; readonly isTalkPublic?: boolean },
): Promise<boolean> {
  return await database.asTenant("rest", DEMO_TENANT_ID, SEED_MS, async (sql) => {
    if (!await insertTenant(sql, { id: DEMO_TENANT_ID, name: "Demo" })) return false;
    await insertAgent(sql, DEMO_TENANT_ID, {
      id: DEMO_AGENT_ID,
      name: demo.agentName,
      isTalkPublic: demo.isTalkPublic ?? false,
    });
    await publishAgentVersion(sql, DEMO_TENANT_ID, {
      id: DEMO_VERSION_ID,
      agentId: DEMO_AGENT_ID,
      graph: demo.graph,
    });
    await insertPhoneNumber(sql, DEMO_TENANT_ID, {
      id: DEMO_NUMBER_ID,
      number: DEMO_NUMBER,
      agentId: DEMO_AGENT_ID,
    });
    return true;
  });
}

/** A key of the demo tenant, with every scope. Inserted again, nothing happens: one that was revoked stays so. */
export async function seedDemoKey(
  database: Database,
  { key, pepper, at }: { readonly key: Secret; readonly pepper: Secret; readonly at: Date },
): Promise<void> {
  const whole = key.reveal();
  const read = readKey(whole);
  if (read === null) throw new Error("The demo key is no key");
  await database.asTenant(
    "rest",
    DEMO_TENANT_ID,
    SEED_MS,
    (sql) =>
      insertApiKey(sql, DEMO_TENANT_ID, {
        id: newId("key"),
        name: "Demo",
        publicId: read.publicId,
        hash: keyHash(pepper, whole),
        scopes: SCOPES,
        createdBy: DEMO_TENANT_ID,
        createdAt: at,
        expiresAt: null,
      }),
  );
}
