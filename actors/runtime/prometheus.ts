/** The metrics of an actor system as Prometheus text. https://prometheus.io/docs/instrumenting/exposition_formats/ */

import { counter, gauge, labelled, type Sample } from "@/lib/prometheus.ts";
import { type Lag, LAG_BUCKETS_MS } from "./lag.ts";
import type { KindMetrics, Metrics } from "./metrics.ts";

/** Version 0.0.4: serve it as `text/plain; version=0.0.4`. */
export function prometheusText(metrics: Metrics): string {
  const byKind = (read: (kind: KindMetrics) => number): Sample[] =>
    Object.entries(metrics.kinds).map(([kind, numbers]) => [{ kind }, read(numbers)]);
  const lanes = Object.entries(metrics.kinds).flatMap(([kind, { waiting }]): Sample[] => [
    [{ kind, lane: "control" }, waiting.control],
    [{ kind, lane: "media" }, waiting.media],
  ]);
  const dead = Object.entries(metrics.deadLetters).map(([reason, n]): Sample => [{ reason }, n]);
  return [
    gauge("actors_live", "Actors alive.", byKind((kind) => kind.live)),
    gauge("actors_waiting_messages", "Messages in mailboxes.", lanes),
    gauge(
      "actors_deepest_mailbox",
      "Messages in the fullest mailbox.",
      byKind((kind) => kind.waiting.deepest),
    ),
    counter("actors_handled_total", "Messages handled.", byKind((kind) => kind.handled)),
    counter("actors_crashes_total", "Lives that ended by a throw.", byKind((kind) => kind.crashes)),
    counter("actors_restarts_total", "Restarts.", byKind((kind) => kind.restarts)),
    counter(
      "actors_media_dropped_total",
      "Media messages dropped for newer ones.",
      byKind((kind) => kind.mediaDropped),
    ),
    counter("actors_dead_letters_total", "Messages that nobody handled.", dead),
    gauge("actors_asks_waiting", "Asks without an answer yet.", [[{}, metrics.asksWaiting]]),
    counter("actors_asks_expired_total", "Asks past their deadline.", [[{}, metrics.asksExpired]]),
    counter("actors_scheduler_yields_total", "Turns cut short to let the event loop run.", [
      [{}, metrics.schedulerYields],
    ]),
    metrics.lag === null ? "" : lagHistogram(metrics.lag),
  ].join("");
}

function lagHistogram({ counts, sumMs }: Lag): string {
  const name = "event_loop_lag_seconds";
  const bounds = [...LAG_BUCKETS_MS.map((ms) => String(ms / 1000)), "+Inf"];
  let total = 0;
  const buckets = bounds.map((le, i) => {
    total += counts[i] ?? 0;
    return `${name}_bucket${labelled({ le })} ${total}\n`;
  });
  return `# HELP ${name} How late the event loop runs timers.\n# TYPE ${name} histogram\n` +
    `${buckets.join("")}${name}_sum ${sumMs / 1000}\n${name}_count ${total}\n`;
}
