/** The public application: what every request passes, and which file answers it. */

import { OpenAPIHono } from "@hono/zod-openapi";
import { account } from "./account.ts";
import { agents } from "./agents.ts";
import { apiKeys } from "./api_keys.ts";
import { auth } from "./auth.ts";
import { audit } from "./audit.ts";
import { authenticated, signedIn, visiting } from "./authenticated.ts";
import { jsonGuard } from "./body.ts";
import { watching } from "./call_stream.ts";
import { calls } from "./calls.ts";
import { credentials } from "./credentials.ts";
import type { AppDeps } from "./deps.ts";
import { docs } from "./docs.ts";
import { allowOrigins, checkHost, gzip, methodTable } from "./edge.ts";
import { shedRequests } from "./shedding.ts";
import { refuseNewWork } from "./draining.ts";
import type { Env } from "./env.ts";
import { callErasure, erasures } from "./erasures.ts";
import { onError, onNotFound } from "./errors.ts";
import { exports } from "./export.ts";
import { answerHeaders } from "./headers.ts";
import { featureRoutes, healthRoutes } from "./health.ts";
import { jobs } from "./jobs.ts";
import { invitations, openInvitations } from "./invitations.ts";
import { members } from "./members.ts";
import { callRecordings, openRecordings } from "./recordings.ts";
import { describeApi } from "./reference.ts";
import { livekit } from "./livekit.ts";
import { livekitWebhooks } from "./livekit_webhooks.ts";
import { limited, limitedByAddress, limitedStrangers, limitedTalkers } from "./limits.ts";
import { clips } from "./clips.ts";
import { phoneNumbers } from "./phone_numbers.ts";
import { tenantLimits } from "./tenant_limits.ts";
import { openTalk, talkPages, talkTickets } from "./talk.ts";
import { tenant } from "./tenant.ts";
import { twilio } from "./twilio.ts";
import { webhooks } from "./webhooks.ts";
import { wellKnown } from "./well_known.ts";

/** What is served there without a credential. */
function openApi() {
  return new OpenAPIHono<Env>().route("/auth", auth)
    .route("/invitations", openInvitations);
}

/** One's own account, for a person who has logged in. */
function ownApi() {
  return new OpenAPIHono<Env>().route("/auth", account);
}

/** What is served under `/api/v1`, one line a resource. */
function api() {
  return new OpenAPIHono<Env>()
    .route("/tenant", tenant)
    .route("/limits", tenantLimits)
    .route("/members", members)
    .route("/invitations", invitations)
    .route("/api-keys", apiKeys)
    .route("/agents", agents)
    .route("/agents", talkTickets)
    .route("/phone-numbers", phoneNumbers)
    .route("/clips", clips)
    .route("/audit", audit)
    .route("/calls", calls)
    .route("/calls", callErasure)
    .route("/calls", callRecordings)
    .route("/erasures", erasures)
    .route("/export", exports)
    .route("/credentials", credentials)
    .route("/livekit", livekit)
    .route("/webhooks", webhooks)
    .route("/jobs", jobs);
}

/** The API as its client sees it. A union: `hc` makes one client of the parts. */
export type Api = ReturnType<typeof openApi | typeof ownApi | typeof api>;

export function newApp(deps: AppDeps): OpenAPIHono<Env> {
  const app = new OpenAPIHono<Env>();
  app.use(answerHeaders(deps.publicUrl));
  app.use(gzip());
  app.use(allowOrigins(deps.edge));
  app.route("/", healthRoutes(deps)); // asked by platforms, by address
  app.use(refuseNewWork(deps));
  app.route("/twilio", twilio(deps)); // signed over the public URL
  app.use(checkHost(deps.edge, deps.publicUrl));
  app.use(visiting(deps));
  app.route("/livekit", livekitWebhooks); // signed; all from a few addresses
  app.use(limitedByAddress(deps));
  app.route("/", docs(() => describeApi(app, deps)));
  app.route("/api/v1/features", featureRoutes(deps));
  app.route("/", talkPages());
  app.use("/talk/:id/tickets", limitedTalkers(deps));
  app.route("/", openTalk);
  app.route("/", openRecordings);
  app.route("/", wellKnown);
  app.use("/api/v1/*", shedRequests(deps)); // before a credential is looked up
  app.use("/api/v1/auth/*", limitedStrangers(deps));
  app.use("/api/v1/auth/*", jsonGuard());
  app.route("/api/v1", openApi());
  app.use("/api/v1/auth/*", signedIn(deps));
  app.route("/api/v1", ownApi());
  app.use("/api/v1/*", authenticated(deps));
  app.use("/api/v1/*", limited(deps));
  app.use("/api/v1/calls/*", watching(deps));
  app.use("/api/v1/*", jsonGuard());
  app.route("/api/v1", api());
  app.notFound(onNotFound(methodTable(app.routes)));
  app.onError(onError(deps.log));
  return app;
}
