/** What a tenant's calls are held with: its own accounts from the next call on, and the house's where it has none. */

import assert from "node:assert/strict";
import { type CarrierAccount, newEquipment, type Outfit } from "@/actors/desk/equipment.ts";
import type { AgentWishes } from "@/actors/desk/speech_of.ts";
import type { Database } from "@/db/client.ts";
import { bumpConfigVersion, getTenant, updateTenantModels } from "@/db/tenants.ts";
import { newVault } from "@/db/vault.ts";
import { newBreakers } from "@/lib/providers/failover/breaker.ts";
import { readConfig } from "@/lib/config.ts";
import { AppError } from "@/lib/errors.ts";
import { uuidOf } from "@/lib/ids.ts";
import { inboundOnly } from "@/lib/providers/carrier/inbound_only.ts";
import type { LanguageModel } from "@/lib/providers/llm/llm.ts";
import type { ProviderWishes, RealtimeWish } from "@/lib/provider_choice.ts";
import { Secret } from "@/lib/secret.ts";
import { loadLiveKit } from "@/lib/providers/livekit/server_api.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { errandRunner } from "@/tests/support/errands.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { startOpenAI } from "@/tests/support/openai.ts";
import { DEADLINE_MS, newTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();
const newLiveKit = await loadLiveKit();

const KEYS = [{
  name: "k1",
  key: new Secret(crypto.getRandomValues(new Uint8Array(32)).toBase64()),
}];
const GOOD = "sk-good-0123456789";
const SID = `AC${"0123456789abcdef".repeat(2)}`;

async function setUp(database: Database, env: Readonly<Record<string, string>> = {}) {
  const tenantId = await newTenant(database);
  const vault = newVault(database, KEYS);
  const clock = manualClock();
  const accounts: CarrierAccount[] = [];
  let reads = 0;
  /** A machine of its own, with its own memory. */
  const machine = (keys: typeof KEYS | null = KEYS) =>
    newEquipment({
      database: { ...database, asTenant: (...args) => (reads++, database.asTenant(...args)) },
      vault: newVault(database, keys),
      config: readConfig(env),
      clock,
      breakers: newBreakers(clock),
      carrier: inboundOnly(),
      newCarrier(account) {
        accounts.push(account);
        return { ...inboundOnly(), provider: `twilio ${account.accountSid}` };
      },
      newLiveKit,
    });
  const { run } = errandRunner(database, tenantId, {
    services: {
      vault,
      acted: () => {},
      configChanged: () => {},
      askProvider: () => Promise.resolve({ type: "valid" }),
    },
  });
  const inTenant = <T>(work: Parameters<typeof database.asTenant<T>>[3]) =>
    database.asTenant("rest", tenantId, DEADLINE_MS, work);
  return {
    tenantId,
    machine,
    run,
    clock,
    inTenant,
    accounts,
    reads: () => reads,
    version: async () => (await inTenant((sql) => getTenant(sql, tenantId)))?.configVersion ?? 0,
  };
}

async function providersOf(
  equipment: ReturnType<typeof newEquipment>,
  tenantId: string,
  version: number,
): Promise<string[]> {
  const outfit = await equipment.outfit(tenantId, null, version);
  if (outfit instanceof AppError) return [outfit.code, outfit.field ?? ""];
  const { stt, llm, tts, carrier, account } = outfit;
  return [stt.provider, llm.provider, tts.provider, carrier.provider, account];
}

async function isTaken(llm: LanguageModel): Promise<boolean> {
  const prompt = {
    system: "Be brief.",
    messages: [{ role: "caller" as const, text: "Hello" }],
    tools: [],
    maxTokens: 10,
    temperature: 0,
  };
  try {
    for await (const _ of llm.respond(prompt, new AbortController().signal));
    return true;
  } catch (error) {
    assert.ok(error instanceof AppError && error.status === 401, String(error));
    return false;
  }
}

Deno.test("a tenant without accounts has the house's, for one reading of the database", async () => {
  await using database = await open();
  const { machine, tenantId, reads } = await setUp(database);
  const equipment = machine();
  const simulated = ["simulated", "simulated", "simulated", "inbound-only", "house"];
  assert.deepEqual(await providersOf(equipment, tenantId, 1), simulated);
  assert.equal(reads(), 1);
  for (let i = 0; i < 10; i++) await providersOf(equipment, tenantId, 1);
  assert.equal(reads(), 1);
});

Deno.test("each account that a tenant brings is used, and the rest stays the house's", async () => {
  await using database = await open();
  const { machine, tenantId, run, version, accounts } = await setUp(database);
  const equipment = machine();
  const providers = async () => await providersOf(equipment, tenantId, await version());
  const values = { apiKey: GOOD };
  await run("createCredential", { provider: "openai", values });
  assert.deepEqual((await providers()).slice(0, 3), ["simulated", "openai", "simulated"]);
  await run("createCredential", { provider: "deepgram", values });
  assert.deepEqual((await providers()).slice(0, 3), ["deepgram-nova", "openai", "aura"]);
  const spoken = await run("createCredential", { provider: "elevenlabs", values });
  assert.equal((await providers())[2], "elevenlabs");
  const carried = { accountSid: SID, authToken: GOOD };
  await run("createCredential", { provider: "twilio", values: carried });
  assert.deepEqual((await providers()).slice(3), [`twilio ${SID}`, "tenant"]);
  assert.equal(accounts.at(-1)?.authToken.reveal(), GOOD);
  await run("deleteCredential", spoken.id);
  assert.equal((await providers())[2], "aura");
});

Deno.test("a tenant with an account of its own falls back on its own others, and on the house's where operators say so", async () => {
  await using database = await open();
  const env = {
    OPENAI_API_KEY: "sk-house-0123456789",
    ANTHROPIC_API_KEY: "sk-house-9876543210",
    LLM_FALLBACK: "anthropic",
  };
  const { machine, tenantId, run, version } = await setUp(database, env);
  const llmOf = async (equipment: ReturnType<typeof newEquipment>) =>
    (await providersOf(equipment, tenantId, await version()))[1];
  assert.equal(await llmOf(machine()), "openai+anthropic");
  await run("createCredential", { provider: "openai", values: { apiKey: GOOD } });
  assert.equal(await llmOf(machine()), "openai");
  await run("createCredential", { provider: "anthropic", values: { apiKey: GOOD } });
  assert.equal(await llmOf(machine()), "openai+anthropic");

  const covering = await setUp(database, { ...env, HOUSE_FALLBACK: "true" });
  await covering.run("createCredential", { provider: "openai", values: { apiKey: GOOD } });
  const equipment = covering.machine();
  const providers = await providersOf(equipment, covering.tenantId, await covering.version());
  assert.equal(providers[1], "openai+anthropic");
});

Deno.test("a credential of another name is kept, and not used", async () => {
  await using database = await open();
  const { machine, tenantId, run, version } = await setUp(database);
  await run("createCredential", { provider: "openai", name: "spare", values: { apiKey: GOOD } });
  assert.equal((await providersOf(machine(), tenantId, await version()))[1], "simulated");
});

Deno.test("the next call after a change uses the new key, on every machine that has the old in memory", async () => {
  await using database = await open();
  const server = await startOpenAI({ apiKey: GOOD });
  try {
    const { machine, tenantId, run, version, clock } = await setUp(database, {
      OPENAI_BASE_URL: server.url,
    });
    const values = { apiKey: "sk-old-0123456789" };
    const { id } = await run("createCredential", { provider: "openai", values });
    const machines = [machine(), machine()];
    const taken = async (at: number | null): Promise<boolean[]> => {
      const answers: boolean[] = [];
      for (const equipment of machines) {
        const outfit = await equipment.outfit(tenantId, "house", at);
        assert.ok(!(outfit instanceof AppError));
        answers.push(await isTaken(outfit.llm));
      }
      return answers;
    };
    const before = await version();
    assert.deepEqual(await taken(before), [false, false]);
    await run("replaceCredential", {
      id,
      provider: "openai",
      values: { apiKey: GOOD },
      expected: null,
    });
    // Whoever knows of no version may have what is a second old, and no older.
    assert.deepEqual(await taken(null), [false, false]);
    await clock.advance(1_000);
    assert.deepEqual(await taken(null), [true, true]);
    await run("replaceCredential", { id, provider: "openai", values, expected: null });
    assert.deepEqual(await taken(await version()), [false, false]); // a ring brings the version
  } finally {
    await server.close();
  }
});

Deno.test("a suspended or cancelled tenant holds no call, and its carrier is still known", async () => {
  await using database = await open();
  const { machine, tenantId, run, version, inTenant } = await setUp(database);
  const values = { accountSid: SID, authToken: GOOD };
  await run("createCredential", { provider: "twilio", values });
  for (const status of ["suspended", "cancelled"]) {
    await inTenant((sql) =>
      sql`update tenant set status = ${status}, config_version = config_version + 1
        where id = ${uuidOf("tenant", tenantId)}`
    );
    const equipment = machine();
    assert.deepEqual(await providersOf(equipment, tenantId, await version()), [
      "tenant_suspended",
      "",
    ]);
    assert.equal((await equipment.authToken(tenantId, null))?.reveal(), GOOD);
  }
});

Deno.test("a provider that the house lacks the key of is missing only to tenants that bring none", async () => {
  await using database = await open();
  const { machine, tenantId, run, version } = await setUp(database, { LLM_PROVIDER: "openai" });
  const equipment = machine();
  const missing = ["not_configured", "OPENAI_API_KEY"];
  assert.deepEqual(await providersOf(equipment, tenantId, await version()), missing);
  await run("createCredential", { provider: "openai", values: { apiKey: GOOD } });
  assert.equal((await providersOf(equipment, tenantId, await version()))[1], "openai");
});

Deno.test("a credential that cannot be opened is never replaced by the house's account", async () => {
  await using database = await open();
  const { machine, tenantId, run, version } = await setUp(database);
  await run("createCredential", { provider: "openai", values: { apiKey: GOOD } });
  const blind = machine(null);
  await assert.rejects(blind.outfit(tenantId, null, await version()), {
    code: "not_configured",
    field: "KEY_ENCRYPTION_KEYS",
  });
  await assert.rejects(blind.authToken(tenantId, null), { code: "not_configured" });
});

Deno.test("a call of an account that was taken away is not held with another", async () => {
  await using database = await open();
  const { machine, tenantId, version } = await setUp(database);
  const outfit = await machine().outfit(tenantId, "tenant", await version());
  assert.ok(outfit instanceof AppError);
  assert.equal(outfit.code, "not_configured");
});

Deno.test("the model asked for is the tenant's choice of those that operators allow, else the house's", async () => {
  await using database = await open();
  const server = await startOpenAI({ apiKey: GOOD });
  try {
    const env = { OPENAI_BASE_URL: server.url, OPENAI_API_KEY: GOOD, OPENAI_MODEL: "house" };
    const tenant = await setUp(database, env);
    const other = await setUp(database, env);
    const equipment = tenant.machine();
    const asked = async ({ tenantId, version }: typeof tenant): Promise<string | undefined> => {
      const outfit = await equipment.outfit(tenantId, null, await version());
      assert.ok(!(outfit instanceof AppError));
      assert.ok(await isTaken(outfit.llm));
      return server.requests.at(-1)?.model;
    };
    const choose = (model: string | null) =>
      tenant.run("changeTenant", { settings: { defaults: { model } }, expected: null });
    const allow = (models: readonly string[] | null) =>
      tenant.inTenant(async (sql) => {
        await updateTenantModels(sql, tenant.tenantId, models);
        await bumpConfigVersion(sql, tenant.tenantId);
      });
    assert.equal(await asked(tenant), "house");
    await choose("chosen");
    assert.deepEqual([await asked(tenant), await asked(other)], ["chosen", "house"]);
    await tenant.run("createCredential", { provider: "openai", values: { apiKey: GOOD } });
    assert.equal(await asked(tenant), "chosen"); // whoever pays
    const rows: readonly [models: readonly string[] | null, model: string][] = [
      [["chosen", "house"], "chosen"],
      [["first", "house"], "house"],
      [["first", "second"], "first"],
      [null, "chosen"],
    ];
    for (const [models, model] of rows) {
      await allow(models);
      assert.equal(await asked(tenant), model, String(models));
    }
    await choose(null);
    assert.equal(await asked(tenant), "house");
  } finally {
    await server.close();
  }
});

Deno.test("what an agent leaves open is spoken as its tenant says: its defaults, then its own language", async () => {
  await using database = await open();
  const { machine, tenantId, run, version } = await setUp(database);
  const equipment = machine();
  const defaultsNow = async () => {
    const outfit = await equipment.outfit(tenantId, null, await version());
    assert.ok(!(outfit instanceof AppError));
    return outfit.defaults;
  };
  const set = (settings: Parameters<typeof run<"changeTenant">>[1]["settings"]) =>
    run("changeTenant", { settings, expected: null });
  assert.deepEqual(await defaultsNow(), { language: null, voice: null });
  await set({ language: "de" });
  assert.deepEqual(await defaultsNow(), { language: "de", voice: null });
  await set({ defaults: { language: "fr", voice: "v1" } });
  assert.deepEqual(await defaultsNow(), { language: "fr", voice: "v1" });
  await set({ defaults: { language: null } });
  assert.deepEqual(await defaultsNow(), { language: "de", voice: "v1" });
});

Deno.test("an agent is held with the providers and the model that it names, or not at all", async () => {
  await using database = await open();
  const { machine, tenantId, run, version, inTenant } = await setUp(database, {
    OPENAI_API_KEY: GOOD,
  });
  const equipment = machine();
  const held = async (wishes: AgentWishes) => {
    const outfit = await equipment.outfit(tenantId, null, await version(), wishes);
    if (outfit instanceof AppError) return [outfit.code, outfit.field];
    return [outfit.stt.provider, outfit.llm.provider, outfit.tts.provider];
  };
  const named = (providers: Partial<ProviderWishes>, model: string | null = null): AgentWishes => (
    { model, providers: { stt: null, llm: null, tts: null, ...providers } }
  );
  assert.deepEqual(await held(named({})), ["simulated", "openai", "simulated"]);
  const responses = named({ llm: "openai_responses", tts: "openai" });
  assert.deepEqual(await held(responses), ["simulated", "openai-responses", "openai-speech"]);
  assert.deepEqual(await held(named({ llm: "simulated" })), Array(3).fill("simulated"));
  const claude = named({ llm: "anthropic" });
  assert.deepEqual(await held(claude), ["not_configured", "ANTHROPIC_API_KEY"]);
  const flux = named({ stt: "deepgram_flux" });
  assert.deepEqual(await held(flux), ["not_configured", "DEEPGRAM_API_KEY"]);
  const values = { apiKey: GOOD };
  await run("createCredential", { provider: "anthropic", values });
  await run("createCredential", { provider: "deepgram", values });
  assert.equal((await held(claude))[1], "anthropic");
  assert.equal((await held(flux))[0], "deepgram-flux");
  assert.equal((await held(named({ stt: "deepgram_nova" })))[0], "deepgram-nova");
  await inTenant(async (sql) => {
    await updateTenantModels(sql, tenantId, ["claude-a"]);
    await bumpConfigVersion(sql, tenantId);
  });
  assert.equal((await held(named({ llm: "anthropic" }, "claude-a")))[1], "anthropic");
  assert.deepEqual(await held(claude), ["not_configured", "model"]); // the house's is not allowed
});

Deno.test("one model for an agent's speech has a session for each call, and who is real stands in for it", async () => {
  await using database = await open();
  const { machine, tenantId, run, version, inTenant } = await setUp(database, {
    OPENAI_API_KEY: GOOD,
    DEEPGRAM_API_KEY: GOOD,
  });
  const equipment = machine();
  const held = async (speech: RealtimeWish, model: string | null = null) =>
    await equipment.outfit(tenantId, null, await version(), { providers: null, model, speech });
  const openai = { provider: "openai_realtime", model: null, voice: null } as const;
  const [one, another] = [await held(openai), await held(openai)];
  assert.ok(!(one instanceof AppError) && !(another instanceof AppError));
  assert.notEqual(one.stt, another.stt);
  assert.ok(one.heard !== undefined);
  const names = ({ stt, llm, tts }: Outfit) => [stt, llm, tts].map(({ provider }) => provider);
  assert.deepEqual(names(one), [
    "openai-realtime+deepgram-nova",
    "openai-realtime+openai",
    "openai-realtime+aura",
  ]);
  const simulated = await held({ provider: "simulated", model: null, voice: null });
  assert.ok(!(simulated instanceof AppError));
  assert.equal(simulated.stt.provider, "simulated");
  await inTenant(async (sql) => {
    await updateTenantModels(sql, tenantId, ["gpt-realtime-2", "gpt-4.1-mini"]);
    await bumpConfigVersion(sql, tenantId);
  });
  // Words of a company with an account of its own go to no other.
  await run("createCredential", { provider: "openai", values: { apiKey: GOOD } });
  const own = await held({ ...openai, model: "gpt-realtime-2" });
  assert.deepEqual(own instanceof AppError ? own : names(own), [
    "openai-realtime",
    "openai-realtime+openai",
    "openai-realtime+openai-speech",
  ]);
  const refused = await held(openai); // the house's is not allowed
  assert.deepEqual(refused instanceof AppError && [refused.code, refused.field], [
    "not_configured",
    "speech.model",
  ]);
  assert.ok(!(await held({ ...openai, model: "gpt-realtime-2" }) instanceof AppError));
});

Deno.test("a tenant that brings an account of Anthropic alone is answered by it", async () => {
  await using database = await open();
  const { machine, tenantId, run, version } = await setUp(database);
  await run("createCredential", { provider: "anthropic", values: { apiKey: GOOD } });
  assert.equal((await providersOf(machine(), tenantId, await version()))[1], "anthropic");
  await run("createCredential", { provider: "openai", values: { apiKey: GOOD } });
  assert.equal((await providersOf(machine(), tenantId, await version()))[1], "openai");
});
