/** How providers fare, as Prometheus text. https://prometheus.io/docs/instrumenting/exposition_formats/ */

import { counter, gauge, type Sample } from "@/lib/prometheus.ts";
import type { BreakerView } from "./breaker.ts";

/** By provider, over all accounts: which tenant brought which is nobody else's to see. */
export function breakersText(views: readonly BreakerView[]): string {
  const byProvider = Object.groupBy(views, ({ name }) => name.split(" ")[0] ?? name);
  const samples = (of: (view: BreakerView) => number): Sample[] =>
    Object.entries(byProvider).map(([provider, each = []]) => [
      { provider },
      each.reduce((sum, view) => sum + of(view), 0),
    ]);
  return [
    gauge(
      "provider_accounts_open",
      "Accounts of a provider that are left alone after failures.",
      samples(({ phase }) => phase === "closed" ? 0 : 1),
    ),
    counter("provider_failures_total", "Requests that failed.", samples((it) => it.failures)),
    counter("provider_openings_total", "Breakers that opened.", samples((it) => it.opened)),
  ].join("");
}
