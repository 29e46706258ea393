/** After a call: its transcript is there, and it is analysed. Once, however often the job runs. */

import { z } from "zod";
import { getAgentVersion } from "@/db/agents.ts";
import { factsOf } from "@/db/call_news.ts";
import { getCall, updateCallAnalysis } from "@/db/calls.ts";
import { listEvents } from "@/db/events.ts";
import { analyse } from "@/lib/conversation/analysis.ts";
import { transcriptOf } from "@/lib/conversation/transcript.ts";
import { AppError } from "@/lib/errors.ts";
import { jobKind } from "./kind.ts";

/** A conversation of four hours has a few thousand events. */
const EVENTS_MAX = 20_000;
/** So long after the end its last events are waited for: the recorder holds a minute of them back at most. */
const LATE_MS = 120_000;
const LATE_RETRY_S = 5;
/** A webhook's payload stays under 20 kB: longer variables are read over the API. */
const VARIABLES_MAX = 12_000;

export const postCall = jobKind({
  payload: z.strictObject({ callId: z.string().max(64) }),
  attempts: 30,
  leaseMs: 30_000,
  async run({ tenantId, act, clock }, { callId }) {
    await act(async ({ sql, emit }) => {
      const call = await getCall(sql, tenantId, callId);
      if (call === null || call.endedAt === null) return; // erased meanwhile
      const page = { after: 0, limit: EVENTS_MAX, isSettled: true } as const;
      const events = await listEvents(sql, tenantId, callId, page);
      const isWhole = events.length === 0 || events.some(({ type }) => type === "call_ended");
      if (!isWhole && +clock.date() - +call.endedAt < LATE_MS) {
        throw new AppError("conflict", "The last events of the call are on their way", {
          retryable: true,
          retryAfterS: LATE_RETRY_S,
        });
      }
      const analysis = analyse(call, events);
      if (!await updateCallAnalysis(sql, tenantId, callId, { ...analysis })) return;
      const facts = factsOf(call);
      await emit("transcript.ready", { ...facts, turns: transcriptOf(events).length });
      const isLong = JSON.stringify(call.variables).length > VARIABLES_MAX;
      const variables = isLong ? {} : call.variables;
      await emit("call.analyzed", { ...facts, analysis: { ...analysis, variables } });
      const { agentId, agentVersion } = call;
      const goal = await getAgentVersion(sql, tenantId, agentId, agentVersion, goalOf);
      const goalMs = goal?.graph ?? null;
      const gapP95Ms = analysis.gapMs?.p95 ?? 0;
      if (goalMs !== null && gapP95Ms > goalMs) {
        await emit("call.slow", { ...facts, gapP95Ms, goalMs });
      }
    });
  },
});

/** Of a graph as it was published: the silence that its callers should not hear more than. */
function goalOf(graph: unknown): number | null {
  const goal: unknown = Object(Object(graph).turns).gapGoalMs;
  return typeof goal === "number" ? goal : null;
}
